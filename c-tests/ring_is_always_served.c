/* only: always: a setting of this library */
/* Description: with UAIO_RING=always the magic is set as soon as io_setup returns, and what is
 * submitted without an eventfd appears in the ring without a further call. */
#include "pending.h"

#define MAGIC 0xa10a10a1u
#define CONTEXTS 100
#define DEPTH 16

static int file;
static char *memory;

static void expect_from_ring(io_context_t ctx, int count, long res, const char *what)
{
	struct io_event event;
	int good = 0;

	EVENTUALLY(in_ring(ctx) == (unsigned)count);
	for (int i = 0; i < count; i++)
		good += take_from_ring(ctx, &event) && event_res(&event) == res;
	expect(good, count, "%s", what);
	expect(in_ring(ctx), 0, "%s: left", what);
}

static void with(io_context_t ctx)
{
	struct iocb iocbs[DEPTH], *list[DEPTH];
	struct channel channel = new_pipe();

	/* A poll before everything else. */
	submit_poll(ctx, &iocbs[0], channel.in, POLLIN);
	sleep_ms(1);
	expect(in_ring(ctx), 0, "poll that waits");
	feed(channel.out);
	expect_from_ring(ctx, 1, POLLIN | POLLRDNORM, "poll");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < DEPTH; i++) {
			list[i] = &iocbs[i];
			io_prep_pread(list[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		}
		expect(io_submit(ctx, DEPTH, list), DEPTH, "reads");
		expect_from_ring(ctx, DEPTH, PAGE, "reads");
		io_prep_fsync(&iocbs[0], file);
		io_prep_fdsync(&iocbs[1], file);
		expect(io_submit(ctx, 2, list), 2, "syncs");
		expect_from_ring(ctx, 2, 0, "syncs");
		submit_poll(ctx, &iocbs[0], channel.in, POLLIN);
		expect_from_ring(ctx, 1, POLLIN, "poll that is ready");
	}
	close_channel(channel);
}

int main(void)
{
	io_context_t contexts[CONTEXTS];
	int fds, threads;

	file = scratch_direct("file", DEPTH * PAGE, 'f');
	memory = pages(DEPTH, PROT_READ | PROT_WRITE);
	fds = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	for (int i = 0; i < CONTEXTS; i++) {
		contexts[i] = new_context(2 * DEPTH);
		CHECK(ring_of(contexts[i])->magic == MAGIC);
	}
	for (int i = 0; i < CONTEXTS; i += 10)
		with(contexts[i]);
	for (int i = 0; i < CONTEXTS; i++) {
		CHECK(ring_of(contexts[i])->magic == MAGIC);
		end_context(contexts[i]);
	}
	EVENTUALLY(entries("/proc/self/fd") == fds);
	EVENTUALLY(entries("/proc/self/task") == threads);
	return finish();
}
