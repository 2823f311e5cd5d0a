/* Description: a handler that runs while io_getevents has some events ends the wait with their
 * number. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe(), never = new_pipe(), late = new_pipe();
	struct waiter waiter = { .ctx = ctx, .min_nr = 3, .nr = 8 };
	struct timespec timeout = { 10, 0 };
	struct iocb iocbs[3];

	count_signal(SIGUSR1, SA_RESTART);
	submit_poll(ctx, &iocbs[0], channel.out, POLLOUT);
	submit_poll(ctx, &iocbs[1], never.in, POLLIN);
	start_waiter(&waiter);
	pthread_kill(waiter.thread, SIGUSR1);
	expect(end_waiter(&waiter), 1, "ready before the wait");
	CHECK(event_is_for(&waiter.events[0], &iocbs[0]));
	expect(signals_seen[SIGUSR1], 1, "handlers run");

	/* Events that come during the sleep stay in the ring, and are not lost either. */
	waiter = (struct waiter){ .ctx = ctx, .min_nr = 3, .nr = 8 };
	start_waiter(&waiter);
	submit_poll(ctx, &iocbs[0], channel.out, POLLOUT);
	submit_poll(ctx, &iocbs[2], channel.out, POLLOUT);
	sleep_ms(50);
	fact("two of three during the wait: %s", has_returned(&waiter) ? "woken" : "asleep");
	pthread_kill(waiter.thread, SIGUSR1);
	expect(end_waiter(&waiter), 2, "ready during the wait");
	CHECK(event_is_for(&waiter.events[0], &iocbs[0]));
	CHECK(event_is_for(&waiter.events[1], &iocbs[2]));
	expect(signals_seen[SIGUSR1], 2, "handlers run");

	/* One that was pending when the sleep began, without a call of the library. */
	submit_poll(ctx, &iocbs[0], late.in, POLLIN);
	waiter = (struct waiter){ .ctx = ctx, .min_nr = 2, .nr = 8, .timeout = &timeout };
	start_waiter(&waiter);
	feed(late.out);
	sleep_ms(50);
	fact("one of two becomes ready: %s", has_returned(&waiter) ? "woken" : "asleep");
	pthread_kill(waiter.thread, SIGUSR1);
	expect(end_waiter(&waiter), 1, "became ready during the wait");
	CHECK(event_is_for(&waiter.events[0], &iocbs[0]));
	CHECK(waiter.took_ms < 5000);
	expect(signals_seen[SIGUSR1], 3, "handlers run");

	feed(never.out);
	expect(reap_event_of(ctx, &iocbs[1]) & POLLIN, POLLIN, "the poll that was pending");
	end_context(ctx);
	return finish();
}
