/* Description: a locked file is closed with direct reads in flight and opened again: the lock goes with
 * the reads of before, though later ones of the same file are in flight all the time. */
#include "pending.h"

#include <sys/file.h>

#define DEPTH 32
#define SIZE (16 * (size_t)PAGE)
#define TURNS 4000

static io_context_t ctx;
static char *memory;

static void submit_read(struct iocb *iocb, int fd, int slot)
{
	io_prep_pread(iocb, fd, memory + slot * SIZE, SIZE, (long long)(slot * SIZE));
	CHECK(submit(ctx, iocb) == 1);
}

int main(void)
{
	static struct iocb iocbs[DEPTH];
	struct io_event events[DEPTH];
	int fd = scratch_direct("data", DEPTH * SIZE, 'd'), number = fd, other, is_free = 0;

	memory = pages(DEPTH * SIZE / PAGE, PROT_READ | PROT_WRITE);
	ctx = new_context(DEPTH);
	MUST(flock(fd, LOCK_EX));
	for (int slot = 0; slot < DEPTH; slot++)
		submit_read(&iocbs[slot], fd, slot);
	MUST(close(fd));
	fd = (int)MUST(open("data", O_RDWR | O_DIRECT | O_CLOEXEC));
	CHECK(fd == number);
	other = (int)MUST(open("data", O_RDONLY | O_CLOEXEC));
	for (int turn = 0; turn < TURNS && !is_free; turn++) {
		int got = reap(ctx, 1, DEPTH, events);

		CHECK(got > 0);
		for (int i = 0; i < got; i++) {
			int slot = (int)(events[i].obj - iocbs);

			CHECK(event_res(&events[i]) == (long)SIZE);
			submit_read(&iocbs[slot], fd, slot);
		}
		is_free = flock(other, LOCK_EX | LOCK_NB) == 0;
	}
	expect(is_free, 1, "the lock is free");
	CHECK(reap(ctx, DEPTH, DEPTH, events) == DEPTH);
	close(fd);
	close(other);
	end_context(ctx);
	return finish();
}
