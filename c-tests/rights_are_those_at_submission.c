/* Description: direct writes in flight keep the rights that their submitter had in io_submit, and
 * so do extending ones and those into holes: a set-user-ID bit stays or goes accordingly. */
#include "check.h"

#include <sys/fsuid.h>

#define NOBODY 65534
#define MANY 16
#define SIZE (8 * PAGE)

static io_context_t ctx;
static char *buffer;

enum place { OVERWRITE, EXTEND, HOLE };

static const char *const places[] = { "overwrite", "extend", "fill a hole" };

static void open_files(int files[MANY], enum place place)
{
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file%d", i);
		files[i] = scratch_direct(name, place == OVERWRITE ? SIZE : PAGE, 'o');
		if (place == HOLE)
			MUST(ftruncate(files[i], 4 * SIZE));
		MUST(fchmod(files[i], 04755));
	}
}

static void write_all(const int files[MANY], enum place place)
{
	static struct iocb iocbs[MANY], *list[MANY];

	for (int i = 0; i < MANY; i++) {
		io_prep_pwrite(&iocbs[i], files[i], buffer, SIZE,
			       place == HOLE ? 2 * SIZE : place == EXTEND ? PAGE : 0);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

static void expect_bits(int files[MANY], bool is_kept, const char *what, enum place place)
{
	struct io_event events[MANY];
	struct stat status;
	int kept = 0;

	CHECK(reap(ctx, MANY, MANY, events) == MANY);
	for (int i = 0; i < MANY; i++) {
		CHECK(event_res(&events[i]) == (long)SIZE);
		MUST(fstat(files[i], &status));
		kept += (status.st_mode & S_ISUID) != 0;
		close(files[i]);
	}
	expect(kept, is_kept ? MANY : 0, "%s, %s: bits kept", places[place], what);
}

static void with(enum place place)
{
	int files[MANY];

	open_files(files, place);
	write_all(files, place);
	expect_bits(files, true, "root", place);

	open_files(files, place);
	setfsuid(NOBODY);
	write_all(files, place);
	setfsuid(0);
	expect_bits(files, false, "nobody, root from then on", place);

	open_files(files, place);
	write_all(files, place);
	setfsuid(NOBODY);
	expect_bits(files, true, "root, nobody from then on", place);
	setfsuid(0);

	/* All threads of the process, those of a library too. */
	open_files(files, place);
	write_all(files, place);
	MUST(seteuid(NOBODY));
	expect_bits(files, true, "root, the process nobody from then on", place);
	MUST(seteuid(0));
}

int main(void)
{
	if (geteuid() != 0)
		skip("only root can lose the right to keep the bit");
	buffer = pages(SIZE / PAGE, PROT_READ | PROT_WRITE);
	ctx = new_context(MANY);
	for (enum place place = OVERWRITE; place <= HOLE; place++)
		with(place);
	end_context(ctx);
	return finish();
}
