/* Description: io_cancel of direct reads and syncs, by two threads, while they complete: each
 * request has one event; -ECANCELED if one of the threads was told -EINPROGRESS, its result if none
 * was. */
#include "mixed_requests.h"

#define CANCELLERS 2
#define MANY 64
#define ROUNDS 150

static io_context_t ctx;
static struct iocb iocbs[MANY];
static int granted[MANY];
static pthread_barrier_t barrier;

static void *canceller(void *argument)
{
	unsigned state = 5 + (unsigned)(long)argument;

	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < MANY; i++) {
			unsigned which = roll(&state, MANY);
			struct io_event event;
			int got = io_cancel(ctx, &iocbs[which], &event);

			if (got == -EINPROGRESS)
				__atomic_fetch_add(&granted[which], 1, __ATOMIC_RELAXED);
			else if (got != -EINVAL)
				fail("io_cancel: %s", code(got));
		}
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

int main(void)
{
	static struct io_event events[MANY];
	pthread_t threads[CANCELLERS];
	struct iocb *list[MANY];
	unsigned state = 99;
	long cancelled = 0, wrong = 0;

	mixed_prepare();
	ctx = new_context(MANY);
	pthread_barrier_init(&barrier, NULL, CANCELLERS + 1);
	for (long i = 0; i < CANCELLERS; i++)
		threads[i] = start(canceller, (void *)i);
	for (int round = 0; round < ROUNDS; round++) {
		int seen[MANY] = { 0 }, got = 0, last;

		memset(granted, 0, sizeof(granted));
		for (int i = 0; i < MANY; i++) {
			mixed_iocb(&iocbs[i], &state, true);
			if (i % 8 == 7)
				io_prep_fdsync(&iocbs[i], mixed.direct);
			list[i] = &iocbs[i];
		}
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < MANY; i += 16) {
			CHECK(io_submit(ctx, 16, list + i) == 16);
			/* Some are reaped while others are cancelled. */
			last = io_getevents(ctx, 0, MANY - got, events + got, NULL);
			got += last > 0 ? last : 0;
		}
		pthread_barrier_wait(&barrier);
		last = reap(ctx, MANY - got, MANY - got, events + got);
		got += last > 0 ? last : 0;
		CHECK(got == MANY);
		for (int i = 0; i < got; i++) {
			long which = events[i].obj - iocbs, res = event_res(&events[i]);

			wrong += seen[which]++ != 0 || granted[which] > 1;
			wrong += res != (granted[which] ? -ECANCELED :
					 which % 8 == 7 ? 0 : (long)PAGE);
			cancelled += res == -ECANCELED;
		}
		CHECK(events_there(ctx) == 0);
	}
	for (int i = 0; i < CANCELLERS; i++)
		join(threads[i]);
	/* The kernel cancels none of them. */
	fprintf(stderr, "%ld of %d cancelled\n", cancelled, ROUNDS * MANY);
	expect(wrong, 0, "wrong events");
	end_context(ctx);
	return finish();
}
