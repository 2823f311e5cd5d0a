/* Description: a program that submits direct I/O and syncs with an eventfd and takes events out of
 * the ring, as QEMU does, gets by without io_getevents: counts are exact, events come before
 * them. */
#include "pending.h"

#define DEPTH 32
#define REQUESTS 10000

static io_context_t ctx;
static int file, resfd;
static char *memory;

struct tally {
	long signalled, plain; /* events taken from the ring, by request */
	long counted; /* by the eventfd */
	long submitted_signalled, submitted_plain;
	long bad, early;
};

static void prepare(struct iocb *iocb, long number)
{
	long block = number % DEPTH;

	if (number % 97 == 96)
		io_prep_fsync(iocb, file);
	else if (number % 89 == 88)
		io_prep_fdsync(iocb, file);
	else if (number % 5 == 4)
		io_prep_pwrite(iocb, file, memory + (DEPTH + block) * PAGE, PAGE,
			       (DEPTH + block) * (long)PAGE);
	else
		io_prep_pread(iocb, file, memory + block * (long)PAGE, PAGE, block * (long)PAGE);
}

static void take_all(struct tally *tally)
{
	struct io_event event;

	while (take_from_ring(ctx, &event)) {
		bool is_sync = event.obj->aio_lio_opcode != IO_CMD_PREAD &&
			       event.obj->aio_lio_opcode != IO_CMD_PWRITE;

		tally->bad += event_res(&event) != (is_sync ? 0 : (long)PAGE) || event.res2;
		if (event.obj->u.c.flags & FLAG_RESFD)
			tally->signalled++;
		else
			tally->plain++;
	}
}

/* The count first, then the ring: each request that was counted must be found there. */
static void look(struct tally *tally, int timeout)
{
	struct pollfd readable = { resfd, POLLIN, 0 };
	uint64_t count = 0;

	if (MUST(poll(&readable, 1, timeout)) == 1)
		MUST(read(resfd, &count, sizeof(count)));
	tally->counted += (long)count;
	take_all(tally);
	tally->early += tally->counted > tally->signalled;
}

/* With an eventfd: all requests, or only two of three. */
static void run(bool is_mixed, const char *name)
{
	static struct iocb iocbs[DEPTH];
	struct tally tally = { 0 };
	long end = now_ms() + 10000, next = 0;

	while (tally.signalled + tally.plain < REQUESTS && now_ms() < end) {
		long in_flight = next - tally.signalled - tally.plain;
		struct iocb *list[DEPTH];
		int batch = 0;

		/* iocbs are told apart by their flags alone, and the last batch is done. */
		while (in_flight == 0 && batch < DEPTH && next + batch < REQUESTS) {
			struct iocb *iocb = list[batch] = &iocbs[batch];

			prepare(iocb, next + batch);
			if (!is_mixed || (next + batch) % 3) {
				io_set_eventfd(iocb, resfd);
				tally.submitted_signalled++;
			} else {
				tally.submitted_plain++;
			}
			batch++;
		}
		if (batch && io_submit(ctx, batch, list) != batch)
			fail("io_submit");
		next += batch;
		look(&tally, tally.counted < tally.submitted_signalled ? 1000 : 0);
	}
	/* Nothing comes after all that. */
	sleep_ms(20);
	look(&tally, 0);
	expect(tally.signalled, tally.submitted_signalled, "%s: events", name);
	expect(tally.plain, tally.submitted_plain, "%s: events without an eventfd", name);
	expect(tally.counted, tally.submitted_signalled, "%s: count", name);
	expect(tally.early, 0, "%s: counted, and not in the ring", name);
	expect(tally.bad, 0, "%s: with another result", name);
}

int main(void)
{
	struct iocb iocb;

	file = scratch_direct("file", 2 * DEPTH * PAGE, 'f');
	memory = pages(2 * DEPTH, PROT_READ | PROT_WRITE);
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	ctx = new_context(2 * DEPTH);
	run(false, "all");
	run(true, "two of three");
	/* From the first request with an eventfd on, the others need no call either. */
	for (int i = 0; i < 50; i++) {
		struct io_event event;

		prepare(&iocb, i);
		submit_accepted(ctx, &iocb);
		EVENTUALLY(in_ring(ctx) == 1);
		CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocb));
	}
	expect(in_ring(ctx), 0, "events left");
	expect(take_count(resfd), 0, "count left");
	end_context(ctx);
	return finish();
}
