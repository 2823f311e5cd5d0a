/* Description: threads share dozens of contexts, which are destroyed and made anew all the time:
 * each batch of direct reads and syncs gets its own events, from the context that it was submitted
 * to. */
#include "mixed_requests.h"

#define THREADS 6
#define CONTEXTS 40
#define BATCH 4
#define RUN_MS 800

/* Who holds the lock for writing changes the context; for reading, uses it. */
static struct place {
	pthread_rwlock_t lock;
	pthread_mutex_t turn; /* one batch at a time, so that events can be told apart */
	io_context_t ctx;
} places[CONTEXTS];

static long deadline, batches, renewals;

static void use(struct place *place, unsigned *state)
{
	struct iocb iocbs[BATCH], *list[BATCH];
	struct io_event events[BATCH + 1];
	int seen[BATCH] = { 0 }, got;

	for (int i = 0; i < BATCH; i++) {
		mixed_iocb(&iocbs[i], state, roll(state, 2));
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(place->ctx, BATCH, list) == BATCH);
	got = reap(place->ctx, BATCH, BATCH + 1, events);
	CHECK(got == BATCH);
	for (int i = 0; i < got; i++) {
		long which = events[i].obj - iocbs;

		if (which < 0 || which >= BATCH || seen[which]++) {
			fail("an event of another batch");
			continue;
		}
		CHECK(mixed_is_good(iocbs[which].aio_lio_opcode, iocbs[which].u.c.nbytes,
				    event_res(&events[i])));
	}
	__atomic_fetch_add(&batches, 1, __ATOMIC_RELAXED);
}

/* Destroyed with requests in flight, or idle. */
static void renew(struct place *place, unsigned *state)
{
	struct iocb iocbs[BATCH], *list[BATCH];

	for (int i = 0; i < BATCH; i++) {
		mixed_iocb(&iocbs[i], state, true);
		list[i] = &iocbs[i];
	}
	if (roll(state, 2))
		CHECK(io_submit(place->ctx, BATCH, list) == BATCH);
	end_context(place->ctx);
	place->ctx = new_context(BATCH);
	__atomic_fetch_add(&renewals, 1, __ATOMIC_RELAXED);
}

static void *worker(void *argument)
{
	unsigned state = 77 + (unsigned)(long)argument;

	while (now_ms() < deadline) {
		struct place *place = &places[roll(&state, CONTEXTS)];

		if (roll(&state, 8) == 0) {
			pthread_rwlock_wrlock(&place->lock);
			renew(place, &state);
			pthread_rwlock_unlock(&place->lock);
			continue;
		}
		pthread_rwlock_rdlock(&place->lock);
		pthread_mutex_lock(&place->turn);
		use(place, &state);
		pthread_mutex_unlock(&place->turn);
		pthread_rwlock_unlock(&place->lock);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	mixed_prepare();
	for (int i = 0; i < CONTEXTS; i++) {
		pthread_rwlock_init(&places[i].lock, NULL);
		pthread_mutex_init(&places[i].turn, NULL);
		places[i].ctx = new_context(BATCH);
	}
	deadline = now_ms() + RUN_MS;
	for (long i = 0; i < THREADS; i++)
		threads[i] = start(worker, (void *)i);
	for (int i = 0; i < THREADS; i++)
		join(threads[i]);
	for (int i = 0; i < CONTEXTS; i++)
		end_context(places[i].ctx);
	fprintf(stderr, "%ld batches, %ld contexts made anew\n", batches, renewals);
	CHECK(batches > 0 && renewals > 0);
	fact("every batch had its events");
	return finish();
}
