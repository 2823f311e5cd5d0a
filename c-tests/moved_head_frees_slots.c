/* Description: a program that advances head itself gets the slots back, without any call. */
#include "check.h"

#include <sched.h>

static io_context_t ctx;
static int file;
static char byte;

/* How many reads are accepted until one is not. */
static int fill(void)
{
	struct iocb iocb;
	int accepted = 0, error;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	while ((error = submit(ctx, &iocb)) == 1)
		accepted++;
	if (error != -EAGAIN)
		fail("io_submit: %s", code(error));
	return accepted;
}

int main(void)
{
	cpu_set_t one;
	struct ring *ring;

	/* The kernel leaves a few slots stranded on processors that the thread has been on. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof(one), &one));

	file = scratch_filled("file", 0, 4096, 'x');
	ctx = new_context(8);
	ring = ring_of(ctx);
	int capacity = fill();

	CHECK(capacity >= 8 && capacity < (int)ring->nr);
	expect(in_ring(ctx) - capacity, 0, "events missing from the ring");
	expect(fill(), 0, "accepted when full");

	for (int step = 1; step <= 20; step += 6) {
		ring->head = (ring->head + step) % ring->nr;
		expect(fill(), step, "accepted after head moved by %d", step);
	}
	ring->head = ring->tail;
	expect(fill() - capacity, 0, "accepted after head = tail, less the first time");
	expect(drain(ctx) - capacity, 0, "events left, less the first time");
	end_context(ctx);
	return finish();
}
