/* Description: io_destroy ends every wait on the context: with -EINVAL, or the number of events
 * that the waiter has. */
#include "pending.h"

int main(void)
{
	struct timespec long_while = { 25, 0 }, negative = { -1, 0 };
	struct channel ready = new_pipe(), never = new_pipe();
	struct iocb iocb, pending;

	for (int round = 0; round < 3; round++) {
		io_context_t ctx = new_context(8);
		struct waiter waiters[] = {
			{ .ctx = ctx, .min_nr = 3, .nr = 8 },
			{ .ctx = ctx, .min_nr = 1, .nr = 8 },
			{ .ctx = ctx, .min_nr = 1, .nr = 8, .timeout = &long_while },
			{ .ctx = ctx, .min_nr = 8, .nr = 8, .timeout = &negative },
		};
		long begin;

		if (round > 0)
			submit_poll(ctx, &pending, never.in, POLLIN);
		submit_poll(ctx, &iocb, ready.out, POLLOUT);
		for (size_t i = 0; i < COUNT(waiters); i++)
			start_waiter(&waiters[i]);
		begin = now_ms();
		expect(io_destroy(ctx), 0, "round %d: destroy", round);
		expect(end_waiter(&waiters[0]), 1, "round %d: the one that took an event", round);
		CHECK(event_is_for(&waiters[0].events[0], &iocb));
		for (size_t i = 1; i < COUNT(waiters); i++)
			expect(end_waiter(&waiters[i]), -EINVAL, "round %d: waiter %zu", round, i);
		CHECK(now_ms() - begin < 5000);
	}
	return finish();
}
