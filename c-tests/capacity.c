/*
 * Description: a context takes at least what it was made for, less than its ring, and then says
 * -EAGAIN.
 */
#include "check.h"

#include <sched.h>

static int file;
static char byte;

static void fill(int nr, int batch)
{
	io_context_t ctx = new_context(nr);
	struct ring *ring = ring_of(ctx);
	struct iocb iocb, *list[64];
	int accepted = 0, got;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	for (int i = 0; i < batch; i++)
		list[i] = &iocb;
	while ((got = io_submit(ctx, batch, list)) > 0)
		accepted += got;
	/* A machine's processors and a context's size decide, not the library. */
	fact("io_setup(%d): %d accepted, %d at a time, then %s", nr, accepted, batch, code(got));
	CHECK(got == -EAGAIN);
	CHECK(accepted >= nr && accepted < (int)ring->nr);
	CHECK(in_ring(ctx) == (unsigned)accepted);

	/* Events give their slots back when they are taken, not before. */
	expect(submit(ctx, &iocb), -EAGAIN, "one more");
	for (int taken = 1; taken < nr && taken < 60; taken *= 3) {
		struct io_event events[64];
		int again = 0;

		CHECK(reap(ctx, taken, taken, events) == taken);
		while (submit(ctx, &iocb) == 1)
			again++;
		expect(again, taken, "accepted after %d were taken", taken);
	}
	CHECK(drain(ctx) == accepted);
	for (got = 0; submit(ctx, &iocb) == 1; got++)
		;
	expect(got - accepted, 0, "accepted after all were taken, less the first time");
	end_context(ctx);
}

int main(void)
{
	static const int sizes[] = { 1, 8, 62, 63, 64, 128, 256, 500, 1024 };
	cpu_set_t one;

	/* The kernel leaves a few slots stranded on processors that the thread has been on. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof(one), &one));
	file = scratch_filled("file", 0, 4096, 'x');
	for (size_t i = 0; i < COUNT(sizes); i++) {
		fill(sizes[i], 1);
		fill(sizes[i], 7);
		fill(sizes[i], 64);
	}
	return finish();
}
