/* Description: a request is what it was at submission: O_APPEND and another size come too late for it. */
#include "check.h"

#include <sys/stat.h>

#define ROUNDS 60
#define BLOCK 4096
#define SIZE (16 * BLOCK)

static char *memory;
static int file;
static bool is_late; /* a thread of the library begins with it, after io_submit */

static long size_of_file(void)
{
	struct stat status;

	MUST(fstat(file, &status));
	return status.st_size;
}

static void begin(const char *name)
{
	file = scratch_direct(name, SIZE, 'o');
	memset(memory, 'n', SIZE);
}

static void set(int flag, bool on)
{
	int flags = MUST(fcntl(file, F_GETFL));

	MUST(fcntl(file, F_SETFL, on ? flags | flag : flags & ~flag));
}

static void append(io_context_t ctx, const char *name)
{
	int count = 8, elsewhere = 0, wrong = 0;
	struct iocb iocbs[8], *list[8];
	struct io_event events[8];

	begin(name);
	for (int i = 0; i < count; i++) {
		list[i] = &iocbs[i];
		io_prep_pwrite(list[i], file, memory, BLOCK, 2 * i * BLOCK);
	}
	for (int round = 0; round < ROUNDS; round++) {
		CHECK(io_submit(ctx, count, list) == count);
		set(O_APPEND, true);
		CHECK(reap(ctx, count, count, events) == count);
		for (int i = 0; i < count; i++)
			wrong += event_res(&events[i]) != BLOCK;
		elsewhere += size_of_file() != SIZE;
		set(O_APPEND, false);
		MUST(ftruncate(file, SIZE));
	}
	expect(wrong, 0, "O_APPEND afterwards: wrong results");
	expect(elsewhere, 0, "O_APPEND afterwards: rounds in which the file became longer");
	close(file);
}

static void other_flags(io_context_t ctx, const char *name)
{
	static const int flags[] = { O_DIRECT, O_NONBLOCK, O_NOATIME };
	int wrong = 0;

	begin(name);
	for (int round = 0; round < ROUNDS; round++) {
		int flag = flags[round % COUNT(flags)];
		struct iocb reading, writing, *list[] = { &writing, &reading };
		struct io_event events[2];

		memset(memory + BLOCK, 0, BLOCK);
		io_prep_pwrite(&writing, file, memory, BLOCK, 0);
		io_prep_pread(&reading, file, memory + BLOCK, BLOCK, BLOCK);
		CHECK(io_submit(ctx, 2, list) == 2);
		set(flag, flag != O_DIRECT);
		CHECK(reap(ctx, 2, 2, events) == 2);
		wrong += event_res(&events[0]) != BLOCK || event_res(&events[1]) != BLOCK;
		wrong += !filled_with(memory + BLOCK, 'o', BLOCK);
		set(flag, flag == O_DIRECT);
	}
	expect(wrong, 0, "O_DIRECT, O_NONBLOCK and O_NOATIME afterwards: wrong");
	close(file);
}

/* Each time on a file whose blocks are there. */
static void cut_off(io_context_t ctx, long to, const char *what)
{
	int count = 4, longer = 0, wrong = 0;

	for (int round = 0; round < ROUNDS; round++) {
		char name[] = "cut off";
		struct iocb iocbs[4], *list[4];
		struct io_event events[4];

		begin(name);
		for (int i = 0; i < count; i++) {
			list[i] = &iocbs[i];
			io_prep_pwrite(list[i], file, memory + 4 * i * BLOCK, 4 * BLOCK, 4 * i * BLOCK);
		}
		CHECK(io_submit(ctx, count, list) == count);
		MUST(ftruncate(file, to));
		CHECK(reap(ctx, count, count, events) == count);
		for (int i = 0; i < count; i++)
			wrong += event_res(&events[i]) != 4 * BLOCK;
		longer += size_of_file() != to;
		if (to) {
			MUST(pread(file, memory, SIZE, 0));
			wrong += !filled_with(memory, 'n', (size_t)to);
		}
		close(file);
		unlink(name);
	}
	expect(wrong, 0, "%s: wrong", what);
	/* A worker may have to wait for the file's lock, and finds out too late: README. */
	expect(longer > (is_late ? ROUNDS / 10 : 0), 0, "%s: the file came back", what);
}

static void made_longer(io_context_t ctx, const char *name)
{
	int wrong = 0;

	begin(name);
	for (int round = 0; round < ROUNDS; round++) {
		struct iocb iocb;
		struct io_event event;

		io_prep_pread(&iocb, file, memory, 4 * BLOCK, SIZE - BLOCK);
		CHECK(submit(ctx, &iocb) == 1);
		MUST(ftruncate(file, 2 * SIZE));
		CHECK(reap(ctx, 1, 1, &event) == 1);
		wrong += event_res(&event) != BLOCK;
		MUST(ftruncate(file, SIZE));
	}
	expect(wrong, 0, "made longer: reads that went beyond the old end");
	close(file);
}

int main(void)
{
	io_context_t ctx = new_context(16);
	const char *on = getenv("C_TEST_ON") ?: "";

	is_late = strcmp(on, "uaio-pool") == 0;
	memory = pages(SIZE / PAGE, PROT_READ | PROT_WRITE);
	append(ctx, "append");
	other_flags(ctx, "flags");
	cut_off(ctx, 0, "cut off");
	cut_off(ctx, 6 * BLOCK, "cut off in the middle");
	made_longer(ctx, "longer");
	end_context(ctx);
	return finish();
}
