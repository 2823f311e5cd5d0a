/* Description: a negative or a huge timeout never runs out: the call ends with an event. */
#include "pending.h"

int main(void)
{
	static struct timespec timeouts[] = {
		{ -1, 0 },	 { 0, -1 },	      { -5, 999999999 }, { 1, -2000000000 },
		{ LONG_MAX, 0 }, { 9223372037, 0 },   { LONG_MAX, 999999999 },
	};
	struct waiter waiters[COUNT(timeouts)] = { 0 };
	struct channel channels[COUNT(timeouts)];
	struct iocb iocbs[COUNT(timeouts)];

	for (size_t i = 0; i < COUNT(timeouts); i++) {
		channels[i] = new_pipe();
		waiters[i].ctx = new_context(1);
		waiters[i].min_nr = waiters[i].nr = 1;
		waiters[i].timeout = &timeouts[i];
		submit_poll(waiters[i].ctx, &iocbs[i], channels[i].in, POLLIN);
		start_waiter(&waiters[i]);
	}
	sleep_ms(200);
	for (size_t i = 0; i < COUNT(timeouts); i++)
		fact("timeout %zu: %s", i, has_returned(&waiters[i]) ? "ran out" : "still waiting");
	for (size_t i = 0; i < COUNT(timeouts); i++) {
		CHECK(!has_returned(&waiters[i]));
		feed(channels[i].out);
		expect(end_waiter(&waiters[i]), 1, "timeout %zu: events", i);
		CHECK(event_is_for(&waiters[i].events[0], &iocbs[i]));
		end_context(waiters[i].ctx);
	}
	return finish();
}
