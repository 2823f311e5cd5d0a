/* Description: four threads submit requests of all kinds to one context and reap from it; each
 * event is taken once, by one of them. */
#include "pending.h"

#define THREADS 4
#define EACH 500

static io_context_t ctx;
static int file;
static int seen[THREADS * EACH];
static long reaped;

static void take(long min_nr)
{
	struct io_event events[8];
	struct timespec short_while = { 0, 1000000 };
	int got = io_getevents(ctx, min_nr, 8, events, &short_while);

	CHECK(got >= 0);
	for (int i = 0; i < got; i++) {
		CHECK(event_res(&events[i]) >= 0 && events[i].res2 == 0);
		__atomic_fetch_add((int *)events[i].data, 1, __ATOMIC_RELAXED);
	}
	if (got > 0)
		__atomic_fetch_add(&reaped, got, __ATOMIC_RELAXED);
}

static void *worker(void *argument)
{
	long base = (long)argument * EACH, end = now_ms() + 20000;
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	struct iocb iocb;

	for (int i = 0; i < EACH; i++) {
		int got;

		if (i % 4 == 0)
			io_prep_pread(&iocb, file, buffer, PAGE, 0);
		else if (i % 4 == 1)
			io_prep_poll(&iocb, channel.out, POLLOUT);
		else if (i % 4 == 2)
			io_prep_poll(&iocb, channel.in, POLLIN);
		else
			io_prep_pwrite(&iocb, channel.out, "x", 1, 0);
		iocb.data = &seen[base + i];
		while ((got = submit(ctx, &iocb)) == -EAGAIN && now_ms() < end)
			take(1);
		CHECK(got == 1);
		if (i % 3 == 0)
			take(i % 2);
	}
	while (__atomic_load_n(&reaped, __ATOMIC_RELAXED) < THREADS * EACH && now_ms() < end)
		take(1);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	file = scratch_direct("file", PAGE, 'f');
	ctx = new_context(32);
	for (long i = 0; i < THREADS; i++)
		threads[i] = start(worker, (void *)i);
	for (int i = 0; i < THREADS; i++)
		join(threads[i]);
	expect(reaped, THREADS * EACH, "events");
	for (int i = 0; i < THREADS * EACH; i++)
		CHECK(seen[i] == 1);
	expect(drain(ctx), 0, "more events");
	end_context(ctx);
	return finish();
}
