/* not: always: the harvester may complete a poll a moment after its file is ready */
/* Description: a waiter takes at once what is there; what comes while it sleeps stays in the ring,
 * where others can take it, until there is enough. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct timespec zero = { 0, 0 };
	struct waiter waiter = { .ctx = ctx, .min_nr = 3, .nr = 8 };
	struct channel channels[5];
	struct io_event events[8];
	struct iocb iocbs[5];

	for (int i = 0; i < 5; i++) {
		channels[i] = new_pipe();
		submit_poll(ctx, &iocbs[i], channels[i].in, POLLIN);
	}
	feed(channels[0].out);
	start_waiter(&waiter);
	expect(io_getevents(ctx, 1, 8, events, &zero), 0, "left by a waiter for three");

	feed(channels[1].out);
	expect(reap(ctx, 1, 8, events), 1, "came during its sleep, taken from it");
	CHECK(event_is_for(&events[0], &iocbs[1]));

	feed(channels[2].out);
	sleep_ms(50);
	fact("the waiter, with one and one in the ring: %s",
	     has_returned(&waiter) ? "woken" : "asleep");
	CHECK(!has_returned(&waiter));
	feed(channels[3].out);
	expect(end_waiter(&waiter), 3, "the waiter, with one and two in the ring");
	CHECK(event_is_for(&waiter.events[0], &iocbs[0]));
	CHECK(event_is_for(&waiter.events[1], &iocbs[2]));
	CHECK(event_is_for(&waiter.events[2], &iocbs[3]));

	feed(channels[4].out);
	expect(reap_event_of(ctx, &iocbs[4]) & POLLIN, POLLIN, "the last event");
	end_context(ctx);
	return finish();
}
