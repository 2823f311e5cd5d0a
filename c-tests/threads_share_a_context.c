/* Description: several threads submit to and reap from one context: every request has one event. */
#include "check.h"

#define THREADS 4
#define EACH 5000

static io_context_t ctx;
static int file;
static unsigned char seen[THREADS][EACH];
static long reaped;

static void *submitter(void *argument)
{
	static _Thread_local struct iocb iocb[8];
	uintptr_t thread = (uintptr_t)argument;
	char byte;

	for (unsigned next = 0; next < EACH;) {
		struct iocb *list[8];
		unsigned count = EACH - next < 8 ? EACH - next : 8;

		for (unsigned i = 0; i < count; i++) {
			io_prep_pread(&iocb[i], file, &byte, 1, 0);
			iocb[i].data = &seen[thread][next + i];
			list[i] = &iocb[i];
		}
		int got = io_submit(ctx, count, list);
		if (got > 0)
			next += got;
		else if (got == -EAGAIN)
			sched_yield();
		else
			fail("io_submit: %s", code(got));
	}
	return NULL;
}

static void *reaper(void *argument)
{
	struct timespec timeout = { 0, 20000000 };
	struct io_event events[16];

	(void)argument;
	while (__atomic_load_n(&reaped, __ATOMIC_RELAXED) < THREADS * EACH) {
		int got = io_getevents(ctx, 1, 16, events, &timeout);

		if (got < 0)
			fail("io_getevents: %s", code(got));
		for (int i = 0; i < got; i++) {
			__atomic_fetch_add((unsigned char *)events[i].data, 1, __ATOMIC_RELAXED);
			if (event_res(&events[i]) != 1)
				fail("res %s", code(event_res(&events[i])));
		}
		if (got > 0)
			__atomic_fetch_add(&reaped, got, __ATOMIC_RELAXED);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS + 2];

	ctx = new_context(32);
	file = scratch_filled("file", 0, 100, 'x');
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = start(submitter, (void *)i);
	threads[THREADS] = start(reaper, NULL);
	threads[THREADS + 1] = start(reaper, NULL);
	for (int i = 0; i < THREADS + 2; i++)
		join(threads[i]);

	expect(reaped, THREADS * EACH, "events");
	long wrong = 0;
	for (int i = 0; i < THREADS; i++)
		for (int j = 0; j < EACH; j++)
			wrong += seen[i][j] != 1;
	expect(wrong, 0, "requests without exactly one event");
	expect(drain(ctx), 0, "events left");
	end_context(ctx);
	return finish();
}
