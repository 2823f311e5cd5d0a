/* Description: the event of a cancelled poll wakes a thread that waits in io_getevents. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct waiter waiter = { .ctx = ctx, .min_nr = 2, .nr = 4 };
	struct io_event result;
	struct iocb iocbs[2];

	for (int i = 0; i < 2; i++)
		submit_poll(ctx, &iocbs[i], channel.in, POLLIN);
	start_waiter(&waiter);
	expect(io_cancel(ctx, &iocbs[1], &result), -EINPROGRESS, "cancel one");
	sleep_ms(50);
	fact("min_nr 2 after one: %s", has_returned(&waiter) ? "woken" : "asleep");
	CHECK(!has_returned(&waiter));
	expect(io_cancel(ctx, &iocbs[0], &result), -EINPROGRESS, "cancel the other");
	expect(end_waiter(&waiter), 2, "events");
	CHECK(event_is_for(&waiter.events[0], &iocbs[1]) && event_res(&waiter.events[0]) == 0);
	CHECK(event_is_for(&waiter.events[1], &iocbs[0]) && event_res(&waiter.events[1]) == 0);
	end_context(ctx);
	return finish();
}
