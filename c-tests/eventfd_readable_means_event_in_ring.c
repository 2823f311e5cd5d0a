/* Description: when the eventfd is readable, the event is in the ring, and can be taken from there
 * without a call. */
#include "pending.h"

#define ROUNDS 200
#define IMMEDIATE 20000

static int sources[ROUNDS];

/* Makes the polls ready from outside, as a peer would. */
static void *feeder(void *argument)
{
	(void)argument;
	for (int i = 0; i < ROUNDS; i++)
		feed(sources[i]);
	return NULL;
}

/* Submits what is done before io_submit returns, while the other thread looks. */
static void *submitter(void *argument)
{
	struct iocb *iocb = argument;
	io_context_t ctx = iocb->data;

	for (int i = 0; i < IMMEDIATE;) {
		int got = submit(ctx, iocb);

		if (got == 1)
			i++;
		else
			CHECK(got == -EAGAIN);
	}
	return NULL;
}

/* How often the eventfd was readable and the ring empty. */
static long early_of_immediate(io_context_t ctx, int file, char *buffer)
{
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	struct io_event event;
	struct iocb iocb;
	pthread_t thread;
	uint64_t count;
	long early = 0;

	io_prep_pread(&iocb, file, buffer, 1, 0);
	io_set_eventfd(&iocb, resfd);
	iocb.data = ctx;
	thread = start(submitter, &iocb);
	/* Without sleeping, so as to be there in the moment after the signal. */
	for (uint64_t got = 0; got < IMMEDIATE; got += count) {
		if (read(resfd, &count, sizeof(count)) == -1) {
			CHECK(errno == EAGAIN);
			count = 0;
		}
		for (uint64_t i = 0; i < count; i++)
			early += !take_from_ring(ctx, &event);
	}
	join(thread);
	return early;
}

int main(void)
{
	io_context_t ctx = new_context(ROUNDS);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	int file = scratch_direct("file", 8 * PAGE, 'f');
	int file_buffered = scratch("file", 0);
	struct pollfd readable = { resfd, POLLIN, 0 };
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	static struct iocb iocbs[ROUNDS];
	struct io_event event;
	long early = 0, got = 0;
	pthread_t thread;
	uint64_t count;

	for (int i = 0; i < ROUNDS; i++) {
		if (i % 8 == 7)
			io_prep_fdsync(&iocbs[i], file);
		else
			io_prep_pread(&iocbs[i], file, buffer, PAGE, 0);
		io_set_eventfd(&iocbs[i], resfd);
		submit_accepted(ctx, &iocbs[i]);
		if (MUST(poll(&readable, 1, 10000)) != 1)
			fail("no event");
		MUST(read(resfd, &count, sizeof(count)));
		CHECK(count == 1);
		if (!take_from_ring(ctx, &event))
			early++;
		else
			CHECK(event_is_for(&event, &iocbs[i]));
	}
	expect(early, 0, "files: eventfd readable, ring empty");

	for (int i = 0; i < ROUNDS; i++) {
		struct channel channel = new_pipe();

		sources[i] = channel.out;
		io_prep_poll(&iocbs[i], channel.in, POLLIN);
		io_set_eventfd(&iocbs[i], resfd);
		submit_accepted(ctx, &iocbs[i]);
	}
	thread = start(feeder, NULL);
	/* As many events as the count says, as an event loop takes them. */
	while (got < ROUNDS && MUST(poll(&readable, 1, 10000)) == 1) {
		MUST(read(resfd, &count, sizeof(count)));
		for (uint64_t i = 0; i < count; i++)
			early += !take_from_ring(ctx, &event);
		got += (long)count;
	}
	join(thread);
	expect(got, ROUNDS, "polls: count");
	expect(early, 0, "polls: eventfd readable, ring empty");
	expect(early_of_immediate(ctx, file_buffered, buffer), 0,
	       "immediate: eventfd readable, ring empty");
	expect(in_ring(ctx), 0, "events left");
	end_context(ctx);
	return finish();
}
