/* Description: direct writes of a batch that extend a file run in order, also where they overlap,
 * and with what they overlap of it, and reads and syncs behind them see them; those that fill holes are
 * all there in the end. */
#include "check.h"

#define ROUNDS 100
#define MANY 16

static io_context_t ctx;
static char *memory;

/* Reads what is in the file, past all caches. */
static void read_back(int file, char *into, unsigned long count)
{
	memset(into, 0, count * PAGE);
	CHECK((size_t)MUST(pread(file, into, count * PAGE, 0)) == count * PAGE);
}

static void run_batch(struct iocb *iocbs, int count, const long *results)
{
	struct iocb *list[MANY];
	struct io_event events[MANY];

	for (int i = 0; i < count; i++)
		list[i] = &iocbs[i];
	CHECK(io_submit(ctx, count, list) == count);
	CHECK(reap(ctx, count, count, events) == count);
	for (int i = 0; i < count; i++)
		CHECK(event_res(&events[i]) == results[events[i].obj - iocbs]);
}

/* Into a hole; the kernel does not order what overlaps there. */
static void filling(int round)
{
	static const long results[] = { 2 * PAGE, 2 * PAGE, 0, 4 * PAGE };
	int file = scratch_direct("holes", 0, 0);
	char *seen = memory + 8 * PAGE;
	struct iocb iocbs[4];

	MUST(ftruncate(file, 16 * PAGE));
	for (int i = 0; i < 2; i++) {
		memset(memory + 2 * i * (int)PAGE, 'a' + (round + i) % 26, 2 * PAGE);
		io_prep_pwrite(&iocbs[i], file, memory + 2 * i * (int)PAGE, 2 * PAGE,
			       2 * i * (long)PAGE);
	}
	io_prep_fdsync(&iocbs[2], file);
	io_prep_pread(&iocbs[3], file, seen, 4 * PAGE, 12 * PAGE);
	run_batch(iocbs, 4, results);
	CHECK(filled_with(seen, 0, 4 * PAGE));
	read_back(file, seen, 4);
	for (int i = 0; i < 2; i++)
		CHECK(filled_with(seen + 2 * i * (int)PAGE, 'a' + (round + i) % 26, 2 * PAGE));
	close(file);
}

/* A read and a sync behind two writes that extend the file: the kernel does those at once. */
static void reading_behind(int round)
{
	static const long results[] = { 2 * PAGE, 2 * PAGE, 4 * PAGE, 0 };
	int file = scratch_direct("extended", 0, 0);
	char *seen = memory + 8 * PAGE;
	struct iocb iocbs[4];

	for (int i = 0; i < 2; i++) {
		memset(memory + 2 * i * (int)PAGE, 'a' + (round + i) % 26, 2 * PAGE);
		io_prep_pwrite(&iocbs[i], file, memory + 2 * i * (int)PAGE, 2 * PAGE,
			       2 * i * (long)PAGE);
	}
	io_prep_pread(&iocbs[2], file, seen, 4 * PAGE, 0);
	io_prep_fsync(&iocbs[3], file);
	run_batch(iocbs, 4, results);
	for (int i = 0; i < 2; i++)
		CHECK(filled_with(seen + 2 * i * (int)PAGE, 'a' + (round + i) % 26, 2 * PAGE));
	close(file);
}

/* Writes of one page to the end of what is there, each of them twice. */
static void growing(int round)
{
	int file = scratch_direct("grown", 0, 0);
	char *seen = memory + MANY * PAGE;
	struct iocb iocbs[MANY];
	long results[MANY];

	for (int i = 0; i < MANY; i++) {
		memset(memory + i * (int)PAGE, 'a' + (round + i) % 26, PAGE);
		io_prep_pwrite(&iocbs[i], file, memory + i * (int)PAGE, PAGE, i / 2 * (long)PAGE);
		results[i] = PAGE;
	}
	run_batch(iocbs, MANY, results);
	read_back(file, seen, MANY / 2);
	for (int i = 0; i < MANY / 2; i++)
		CHECK(filled_with(seen + i * (int)PAGE, 'a' + (round + 2 * i + 1) % 26, PAGE));
	close(file);
}

/* What lies before the old end of a file that a write makes longer, written or read behind that write. */
static void overlapping(int round)
{
	static const long results[] = { 3 * PAGE, PAGE, PAGE };
	int file = scratch_direct("overlapped", 2 * PAGE, 'o');
	char *seen = memory + 8 * PAGE;
	struct iocb iocbs[3];

	/* A library may remember that the last write of this number made a file longer. */
	memset(memory, 'o', PAGE);
	io_prep_pwrite(&iocbs[0], file, memory, PAGE, 0);
	run_batch(iocbs, 1, &results[1]);
	memset(memory, 'a' + round % 26, 3 * PAGE);
	memset(memory + 3 * PAGE, 'A' + round % 26, PAGE);
	if (round % 2) {
		io_prep_pwrite(&iocbs[0], file, memory, 3 * PAGE, PAGE);
		io_prep_pwrite(&iocbs[1], file, memory + 3 * PAGE, PAGE, PAGE);
		run_batch(iocbs, 2, results);
		read_back(file, seen, 2);
		CHECK(filled_with(seen + PAGE, 'A' + round % 26, PAGE));
	} else {
		io_prep_pwrite(&iocbs[0], file, memory, 3 * PAGE, PAGE);
		io_prep_pread(&iocbs[1], file, seen, PAGE, PAGE);
		io_prep_pread(&iocbs[2], file, seen + PAGE, PAGE, 0);
		run_batch(iocbs, 3, results);
		CHECK(filled_with(seen, 'a' + round % 26, PAGE));
		CHECK(filled_with(seen + PAGE, 'o', PAGE));
	}
	close(file);
}

int main(void)
{
	memory = pages(2 * MANY, PROT_READ | PROT_WRITE);
	ctx = new_context(MANY);
	for (int round = 0; round < ROUNDS; round++) {
		filling(round);
		reading_behind(round);
		growing(round);
		overlapping(round);
	}
	fact("%d rounds", ROUNDS);
	end_context(ctx);
	return finish();
}
