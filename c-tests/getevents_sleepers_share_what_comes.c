/* Description: threads that sleep with different min_nr return as soon as enough events are there,
 * whether these are direct I/O, syncs, polls or buffered I/O, and whoever else takes some or
 * looks. */
#include "mixed_requests.h"

#define SLEEPERS 3
#define SCENARIOS 250
#define MOST 8

static io_context_t ctx;

/* A sleeper takes exactly its share, so that the shares add up to what is submitted. */
struct sleeper {
	int share;
	int got;
	long took_ms;
};

static void *sleep_for_share(void *argument)
{
	struct sleeper *sleeper = argument;
	struct io_event events[MOST];
	long begin = now_ms();

	sleeper->got = reap(ctx, sleeper->share, sleeper->share, events);
	sleeper->took_ms = now_ms() - begin;
	return NULL;
}

/* Calls that look after completions and take nothing. */
static bool looking;

static void *look(void *argument)
{
	struct timespec zero = { 0, 0 };
	struct io_event event;

	(void)argument;
	while (__atomic_load_n(&looking, __ATOMIC_ACQUIRE)) {
		CHECK(io_getevents(ctx, 0, 0, &event, &zero) == 0);
		CHECK(io_submit(ctx, 0, NULL) == 0);
		sched_yield();
	}
	return NULL;
}

/* Submits so many in batches of random size, with random gaps. */
static void submit_all(int count, unsigned *state, bool only_direct)
{
	struct iocb iocbs[SLEEPERS * MOST + 1], *list[SLEEPERS * MOST + 1];

	for (int i = 0; i < count; i++) {
		mixed_iocb(&iocbs[i], state, only_direct);
		list[i] = &iocbs[i];
	}
	for (int done = 0; done < count;) {
		int batch = 1 + (int)roll(state, (unsigned)(count - done));

		if (roll(state, 2))
			usleep(roll(state, 300));
		CHECK(io_submit(ctx, batch, list + done) == batch);
		done += batch;
	}
}

/* kind: what is submitted while they sleep, and who is there besides. */
static void scenario(unsigned *state, int kind)
{
	struct sleeper sleepers[SLEEPERS];
	pthread_t threads[SLEEPERS], looker = 0;
	struct channel channel = new_pipe();
	int total = 0, taken = 0;
	struct io_event event;
	struct iocb late;

	for (int i = 0; i < SLEEPERS; i++) {
		sleepers[i] = (struct sleeper){ .share = 1 + (int)roll(state, MOST) };
		total += sleepers[i].share;
	}
	/* Some of it is there before they come. */
	int before = kind == 1 ? (int)roll(state, (unsigned)total) : 0;

	submit_all(before, state, false);
	/* A poll that becomes ready last is the one that they wait for. */
	if (kind == 2)
		submit_poll(ctx, &late, channel.in, POLLIN);
	if (kind == 3) {
		__atomic_store_n(&looking, true, __ATOMIC_RELEASE);
		looker = start(look, NULL);
	}
	for (int i = 0; i < SLEEPERS; i++)
		threads[i] = start(sleep_for_share, &sleepers[i]);
	if (roll(state, 2))
		usleep(roll(state, 500));
	submit_all(total - before - (kind == 2), state, kind == 0);
	if (kind == 2)
		feed(channel.out);
	if (kind == 4) {
		/* This one takes an event away from them, and gives one back. */
		taken = io_getevents(ctx, 1, 1, &event, &(struct timespec){ 0, 100000 });
		CHECK(taken >= 0);
		submit_all(taken, state, true);
	}
	for (int i = 0; i < SLEEPERS; i++) {
		join(threads[i]);
		if (sleepers[i].got != sleepers[i].share)
			fail("kind %d: %d events of %d for one of them", kind, sleepers[i].got,
			     sleepers[i].share);
		/* Ten seconds are the timeout, though enough was there. */
		if (sleepers[i].took_ms >= 3000)
			fail("kind %d: took %ld ms for %d", kind, sleepers[i].took_ms, sleepers[i].share);
	}
	if (kind == 3) {
		__atomic_store_n(&looking, false, __ATOMIC_RELEASE);
		join(looker);
	}
	CHECK(events_there(ctx) == 0);
	close_channel(channel);
}

int main(void)
{
	unsigned state = 20240229;
	long end = now_ms() + 25000;

	mixed_prepare();
	ctx = new_context(64);
	for (int i = 0; i < SCENARIOS && now_ms() < end; i++)
		scenario(&state, i % 5);
	fact("everybody had enough");
	end_context(ctx);
	return finish();
}
