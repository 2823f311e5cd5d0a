/* Description: a write that makes a file longer and reads of what it uncovers, in one io_submit. */
#include "check.h"

#define ROUNDS 20
#define BLOCK 4096

static io_context_t ctx;
static char *memory;
static int file, also, other;

static long end_of_file(void)
{
	return MUST(lseek(file, 0, SEEK_END));
}

/* Runs a batch; the results of the last `count` of its requests have to be these. */
static int batch(int nr, struct iocb *iocbs, const long *want)
{
	struct iocb *list[8];
	struct io_event events[8];
	int wrong = 0;

	for (int i = 0; i < nr; i++)
		list[i] = &iocbs[i];
	CHECK(io_submit(ctx, nr, list) == nr);
	CHECK(reap(ctx, nr, nr, events) == nr);
	for (int i = 0; i < nr; i++)
		wrong |= event_res(&events[i]) != want[(struct iocb *)events[i].obj - iocbs];
	return wrong;
}

static void behind_the_end(int through, const char *what)
{
	int wrong = 0, not_zero = 0;

	for (int round = 0; round < ROUNDS; round++) {
		long end = end_of_file();
		struct iocb iocbs[2];

		memset(memory, 'w', BLOCK);
		memset(memory + BLOCK, 'r', BLOCK);
		io_prep_pwrite(&iocbs[0], file, memory, BLOCK, end + 16 * BLOCK);
		io_prep_pread(&iocbs[1], through, memory + BLOCK, BLOCK, end + BLOCK);
		wrong += batch(2, iocbs, (long[]){ BLOCK, BLOCK });
		not_zero += !filled_with(memory + BLOCK, 0, BLOCK);
	}
	expect(wrong, 0, "%s: wrong of %d", what, ROUNDS);
	expect(not_zero, 0, "%s: not zero", what);
}

static void across_the_end(void)
{
	int wrong = 0, not_zero = 0;

	for (int round = 0; round < ROUNDS; round++) {
		long end = end_of_file();
		struct iocb iocbs[3];

		io_prep_pwrite(&iocbs[0], file, memory, BLOCK, end + 16 * BLOCK);
		memset(memory + BLOCK, 'r', 4 * BLOCK);
		io_prep_pread(&iocbs[1], file, memory + BLOCK, 4 * BLOCK, end - BLOCK);
		io_prep_pread(&iocbs[2], other, memory + 5 * BLOCK, 4 * BLOCK, BLOCK);
		wrong += batch(3, iocbs, (long[]){ BLOCK, 4 * BLOCK, BLOCK });
		not_zero += !filled_with(memory + 2 * BLOCK, 0, 3 * BLOCK);
	}
	expect(wrong, 0, "across the end: wrong of %d", ROUNDS);
	expect(not_zero, 0, "across the end: not zero");
}

static void before_it_grows(void)
{
	int wrong = 0;

	for (int round = 0; round < ROUNDS; round++) {
		long end = end_of_file();
		struct iocb iocbs[4];

		io_prep_pread(&iocbs[0], file, memory + BLOCK, 4 * BLOCK, end - BLOCK);
		io_prep_pread(&iocbs[1], file, memory + 5 * BLOCK, BLOCK, end + BLOCK);
		io_prep_pwrite(&iocbs[2], file, memory, BLOCK, end + 16 * BLOCK);
		io_prep_pread(&iocbs[3], file, memory + 6 * BLOCK, BLOCK, end + 17 * BLOCK);
		wrong += batch(4, iocbs, (long[]){ BLOCK, 0, BLOCK, 0 });
	}
	expect(wrong, 0, "reads before it: wrong of %d", ROUNDS);
}

static void grow_twice(void)
{
	int wrong = 0;

	for (int round = 0; round < ROUNDS; round++) {
		long end = end_of_file();
		struct iocb iocbs[4];
		struct iovec vector[2] = { { memory + 4 * BLOCK, BLOCK }, { memory + 6 * BLOCK, BLOCK } };

		io_prep_pwrite(&iocbs[0], file, memory, BLOCK, end);
		io_prep_pread(&iocbs[1], also, memory + BLOCK, 2 * BLOCK, end + BLOCK);
		io_prep_pwrite(&iocbs[2], also, memory, BLOCK, end + 8 * BLOCK);
		io_prep_preadv(&iocbs[3], file, vector, 2, end + 2 * BLOCK);
		wrong += batch(4, iocbs, (long[]){ BLOCK, 0, BLOCK, 2 * BLOCK });
	}
	expect(wrong, 0, "twice: wrong of %d", ROUNDS);
}

int main(void)
{
	ctx = new_context(32);
	memory = pages(16, PROT_READ | PROT_WRITE);
	file = scratch_direct("file", 2 * BLOCK, 'x');
	also = MUST(open("file", O_RDWR | O_DIRECT | O_CLOEXEC));
	other = scratch_direct("other", 2 * BLOCK, 'y');
	behind_the_end(file, "behind the end");
	behind_the_end(also, "through another descriptor");
	across_the_end();
	before_it_grows();
	grow_twice();
	end_context(ctx);
	return finish();
}
