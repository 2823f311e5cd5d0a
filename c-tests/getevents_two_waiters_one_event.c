/* Description: two waiters need two events: one event ends one wait, the next the other. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct waiter waiters[2] = {
		{ .ctx = ctx, .min_nr = 1, .nr = 1 },
		{ .ctx = ctx, .min_nr = 1, .nr = 1 },
	};
	struct channel channels[2] = { new_pipe(), new_pipe() };
	struct iocb iocbs[2];
	int first;

	for (int i = 0; i < 2; i++)
		submit_poll(ctx, &iocbs[i], channels[i].in, POLLIN);
	for (int i = 0; i < 2; i++)
		start_waiter(&waiters[i]);

	feed(channels[0].out);
	EVENTUALLY(has_returned(&waiters[0]) || has_returned(&waiters[1]));
	sleep_ms(50);
	expect(has_returned(&waiters[0]) + has_returned(&waiters[1]), 1,
	       "returned after one event");
	first = has_returned(&waiters[0]) ? 0 : 1;
	expect(end_waiter(&waiters[first]), 1, "events of the one");
	CHECK(event_is_for(&waiters[first].events[0], &iocbs[0]));

	feed(channels[1].out);
	expect(end_waiter(&waiters[1 - first]), 1, "events of the other");
	CHECK(event_is_for(&waiters[1 - first].events[0], &iocbs[1]));
	end_context(ctx);
	return finish();
}
