/* not: pool: workers start in any order; programs do not overlap writes that are in flight */
/* Description: in one batch, direct writes that extend the file end behind an overwrite that they
 * overlap and were submitted after. */
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

/* An overwrite, a write that overlaps it and extends, one that overlaps that, a read, a sync. */
static void extending(int round)
{
	static const long results[] = { 2 * PAGE, 2 * PAGE, 2 * PAGE, 4 * PAGE, 0 };
	int file = scratch_direct("extended", 2 * PAGE, 'o');
	char *seen = memory + 8 * PAGE;
	struct iocb iocbs[5];

	for (int i = 0; i < 3; i++) {
		memset(memory + 2 * i * (int)PAGE, 'a' + (round + i) % 26, 2 * PAGE);
		io_prep_pwrite(&iocbs[i], file, memory + 2 * i * (int)PAGE, 2 * PAGE,
			       i * (long)PAGE);
	}
	io_prep_pread(&iocbs[3], file, seen, 4 * PAGE, 0);
	io_prep_fsync(&iocbs[4], file);
	run_batch(iocbs, 5, results);
	/* The read is behind two writes that the kernel does at once. */
	CHECK(filled_with(seen + 2 * PAGE, 'a' + (round + 2) % 26, 2 * PAGE));
	CHECK(filled_with(seen + PAGE, 'a' + (round + 1) % 26, PAGE));
	read_back(file, seen, 4);
	for (int i = 0; i < 4; i++)
		CHECK(filled_with(seen + i * (int)PAGE, 'a' + (round + (i < 3 ? i : 2)) % 26, PAGE));
	close(file);
}

int main(void)
{
	memory = pages(2 * MANY, PROT_READ | PROT_WRITE);
	ctx = new_context(MANY);
	for (int round = 0; round < ROUNDS; round++)
		extending(round);
	fact("%d rounds", ROUNDS);
	end_context(ctx);
	return finish();
}
