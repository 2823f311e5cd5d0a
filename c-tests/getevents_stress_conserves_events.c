/* Description: three threads submit at random and three wait with random min_nr, nr and timeouts:
 * nobody sleeps on while enough is there, and each request has one event. */
#include "mixed_requests.h"

#define SUBMITTERS 3
#define WAITERS 3
#define PHASES 150
#define EACH 100
#define TOTAL (SUBMITTERS * EACH)

static io_context_t ctx;
static struct iocb iocbs[TOTAL];
static unsigned char seen[TOTAL];
static long bad, slow;
static pthread_barrier_t barrier;

static void *submitter(void *argument)
{
	long self = (long)argument;
	unsigned state = 1000 + (unsigned)self;

	for (int phase = 0; phase < PHASES; phase++) {
		pthread_barrier_wait(&barrier);
		for (int done = 0; done < EACH;) {
			struct iocb *list[16];
			int batch = 1 + (int)roll(&state, 16);

			if (batch > EACH - done)
				batch = EACH - done;
			for (int i = 0; i < batch; i++) {
				list[i] = &iocbs[self * EACH + done + i];
				mixed_iocb(list[i], &state, roll(&state, 3) == 0);
				list[i]->data = list[i];
			}
			CHECK(io_submit(ctx, batch, list) == batch);
			done += batch;
			if (roll(&state, 4) == 0)
				usleep(roll(&state, 200));
		}
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/*
 * Takes its share of a phase in calls of random size. All shares together are what is submitted,
 * and nobody wants more than is left of its own: so every call can be satisfied.
 */
static void take_share(int share, unsigned *state)
{
	struct io_event events[TOTAL];

	while (share > 0) {
		long most = share < 40 ? share : 40;
		long nr = 1 + roll(state, (unsigned)most), min_nr = roll(state, (unsigned)nr + 1);
		bool is_short = roll(state, 3) == 0;
		struct timespec timeout = { is_short ? 0 : 10, is_short ? roll(state, 400000) : 0 };
		long begin = now_ms();
		int got = io_getevents(ctx, min_nr, nr, events, &timeout);

		if (got < 0 || got > nr || (!is_short && got < min_nr))
			fail("io_getevents(%ld, %ld): %s", min_nr, nr, code(got));
		if (got < 0)
			return;
		if (!is_short && now_ms() - begin > 3000)
			__atomic_fetch_add(&slow, 1, __ATOMIC_RELAXED);
		for (int i = 0; i < got; i++) {
			struct iocb *iocb = events[i].obj;
			long res = event_res(&events[i]);

			__atomic_fetch_add(&seen[iocb - iocbs], 1, __ATOMIC_RELAXED);
			if (events[i].data != iocb || events[i].res2 ||
			    !mixed_is_good(iocb->aio_lio_opcode, iocb->u.c.nbytes, res))
				__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
		}
		share -= got;
	}
}

static void *waiter(void *argument)
{
	long self = (long)argument;
	unsigned state = 2000 + (unsigned)self;

	for (int phase = 0; phase < PHASES; phase++) {
		/* The same numbers for all three, so that they agree on the shares. */
		unsigned shared = 3000 + (unsigned)phase;
		int first = (int)roll(&shared, TOTAL), second = (int)roll(&shared, TOTAL);
		int low = first < second ? first : second, high = first + second - low;
		int shares[WAITERS] = { low, high - low, TOTAL - high };

		pthread_barrier_wait(&barrier);
		take_share(shares[self], &state);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[SUBMITTERS + WAITERS];
	long lost = 0;

	mixed_prepare();
	ctx = new_context(TOTAL);
	pthread_barrier_init(&barrier, NULL, SUBMITTERS + WAITERS + 1);
	for (long i = 0; i < SUBMITTERS + WAITERS; i++)
		threads[i] = i < SUBMITTERS ? start(submitter, (void *)i) :
					      start(waiter, (void *)(i - SUBMITTERS));
	for (int phase = 0; phase < PHASES; phase++) {
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < TOTAL; i++)
			lost += seen[i] != 1;
		memset(seen, 0, sizeof(seen));
		CHECK(events_there(ctx) == 0);
	}
	for (int i = 0; i < SUBMITTERS + WAITERS; i++)
		join(threads[i]);
	expect(lost, 0, "requests without exactly one event");
	expect(bad, 0, "events with another result");
	expect(slow, 0, "waits that went on though enough was there");
	end_context(ctx);
	return finish();
}
