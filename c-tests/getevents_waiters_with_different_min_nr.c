/* Description: an event wakes the waiter for whom it is enough, whoever came first. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct waiter patient = { .ctx = ctx, .min_nr = 2, .nr = 8 };
	struct waiter modest = { .ctx = ctx, .min_nr = 1, .nr = 8 };
	struct channel channels[3] = { new_pipe(), new_pipe(), new_pipe() };
	struct iocb iocbs[3];

	for (int i = 0; i < 3; i++)
		submit_poll(ctx, &iocbs[i], channels[i].in, POLLIN);
	start_waiter(&patient);
	start_waiter(&modest);

	feed(channels[0].out);
	expect(end_waiter(&modest), 1, "min_nr 1 after one event");
	CHECK(event_is_for(&modest.events[0], &iocbs[0]));
	fact("min_nr 2 after one event: %s", has_returned(&patient) ? "woken" : "asleep");
	CHECK(!has_returned(&patient));

	feed(channels[1].out);
	sleep_ms(50);
	fact("min_nr 2 after one more: %s", has_returned(&patient) ? "woken" : "asleep");
	CHECK(!has_returned(&patient));
	feed(channels[2].out);
	expect(end_waiter(&patient), 2, "min_nr 2 after two more");
	CHECK(event_is_for(&patient.events[0], &iocbs[1]));
	CHECK(event_is_for(&patient.events[1], &iocbs[2]));
	end_context(ctx);
	return finish();
}
