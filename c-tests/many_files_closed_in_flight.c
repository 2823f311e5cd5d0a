/* Description: dozens of files are closed, unlinked, and their numbers given to other files while
 * direct I/O and syncs are in flight: results are right, and the other files are left alone. */
#include "pending.h"

#define FILES 24
#define PER_FILE 4
#define ROUNDS 20

static io_context_t ctx;
static char *memory;
static int stranger, resfd;

static const char *name_of(int file)
{
	static char name[16];

	snprintf(name, sizeof(name), "file%d", file);
	return name;
}

/* Read, overwrite, fsync, read with an eventfd. */
static void submit_to(int fd, int file, struct iocb iocbs[PER_FILE])
{
	struct iocb *list[PER_FILE];
	char *buffer = memory + file * 3 * (long)PAGE;

	memset(buffer + PAGE, 'A' + file, PAGE);
	io_prep_pread(&iocbs[0], fd, buffer, PAGE, 0);
	io_prep_pwrite(&iocbs[1], fd, buffer + PAGE, PAGE, PAGE);
	io_prep_fsync(&iocbs[2], fd);
	io_prep_pread(&iocbs[3], fd, buffer + 2 * PAGE, PAGE, 2 * PAGE);
	io_set_eventfd(&iocbs[3], resfd);
	for (int i = 0; i < PER_FILE; i++)
		list[i] = &iocbs[i];
	CHECK(io_submit(ctx, PER_FILE, list) == PER_FILE);
}

static void reap_all(const struct iocb *iocbs)
{
	struct io_event events[FILES * PER_FILE];
	int got = reap(ctx, FILES * PER_FILE, FILES * PER_FILE, events), wrong = 0;

	CHECK(got == FILES * PER_FILE);
	for (int i = 0; i < got; i++) {
		long which = events[i].obj - iocbs;

		wrong += event_res(&events[i]) != (which % PER_FILE == 2 ? 0 : (long)PAGE);
	}
	expect(wrong, 0, "with another result");
	expect(take_counts(resfd, FILES), FILES, "count");
}

/* What is done with a number as soon as io_submit returns. */
enum fate { CLOSED, STRANGER, NEXT_FILE, FATES };

static const char *const fates[] = { "closed", "replaced by dup2", "taken by the next open" };

static void run(enum fate fate)
{
	static struct iocb iocbs[FILES * PER_FILE];
	int fds[FILES], kept[FILES];

	for (int i = 0; i < FILES; i++) {
		fds[i] = scratch_direct(name_of(i), 3 * PAGE, 'a' + i);
		kept[i] = scratch(name_of(i), 0);
	}
	memset(memory, 0, FILES * 3 * PAGE);
	for (int i = 0; i < FILES; i++) {
		submit_to(fds[i], i, iocbs + i * PER_FILE);
		MUST(unlink(name_of(i)));
		if (fate == STRANGER)
			MUST(dup2(stranger, fds[i]));
		else
			close(fds[i]);
		if (fate == NEXT_FILE)
			CHECK(MUST(open("stranger", O_RDWR | O_CLOEXEC)) <= fds[i]);
	}
	reap_all(iocbs);
	for (int i = 0; i < FILES; i++) {
		char *buffer = memory + i * 3 * (long)PAGE, block[PAGE];

		CHECK(filled_with(buffer, 'a' + i, PAGE));
		CHECK(filled_with(buffer + 2 * PAGE, 'a' + i, PAGE));
		MUST(pread(kept[i], block, PAGE, PAGE));
		CHECK(filled_with(block, 'A' + i, PAGE));
		close(kept[i]);
		if (fate != CLOSED)
			close(fds[i]);
	}
	char block[4 * PAGE];

	CHECK(MUST(pread(stranger, block, sizeof(block), 0)) == 3 * PAGE);
	CHECK(filled_with(block, 's', 3 * PAGE));
}

int main(void)
{
	int fds;

	memory = pages(FILES * 3, PROT_READ | PROT_WRITE);
	stranger = scratch_filled("stranger", 0, 3 * PAGE, 's');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	ctx = new_context(FILES * PER_FILE);
	fds = entries("/proc/self/fd");
	for (int round = 0; round < ROUNDS; round++) {
		fact("%s", fates[round % FATES]);
		run((enum fate)(round % FATES));
	}
	end_context(ctx);
	EVENTUALLY(entries("/proc/self/fd") <= fds);
	return finish();
}
