/* Description: a timeout counts from the beginning of the call, however often the call is woken
 * meanwhile by events that are too few, and however long it is. */
#include "pending.h"

#define MANY 100
#define STEP_MS 20

static struct channel channels[MANY];

static void *feeder(void *argument)
{
	(void)argument;
	for (int i = 0; i < MANY; i++) {
		sleep_ms(STEP_MS);
		feed(channels[i].out);
	}
	return NULL;
}

int main(void)
{
	static struct iocb iocbs[MANY];
	struct io_event events[MANY];
	struct timespec span = { 0, 8l * STEP_MS * 1000000 };
	io_context_t ctx = new_context(MANY);
	long begin = now_ms(), took;
	pthread_t thread;
	int got;

	for (int i = 0; i < MANY; i++) {
		channels[i] = new_pipe();
		submit_poll(ctx, &iocbs[i], channels[i].in, POLLIN);
	}
	/* Nothing comes. */
	expect(io_getevents(ctx, 1, 1, events, &(struct timespec){ 1, 200000000 }), 0, "1.2 s");
	took = now_ms() - begin;
	CHECK(took >= 1199 && took < 10000);

	/* An event comes, then another one; all would take more than ten times the span. */
	thread = start(feeder, NULL);
	got = io_getevents(ctx, MANY, MANY, events, &span);
	CHECK(got > 0 && got < MANY);
	join(thread);
	expect(got + reap(ctx, MANY - got, MANY - got, events), MANY, "in the end");
	end_context(ctx);
	return finish();
}
