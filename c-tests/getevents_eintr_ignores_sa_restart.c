/* Description: a handler that runs in the waiting thread ends the wait with -EINTR, SA_RESTART or
 * not. */
#include "pending.h"

static void interrupt(io_context_t ctx, int flags, struct timespec *timeout, const char *what)
{
	struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 1, .timeout = timeout };
	int before = signals_seen[SIGUSR1];

	count_signal(SIGUSR1, flags);
	start_waiter(&waiter);
	pthread_kill(waiter.thread, SIGUSR1);
	expect(end_waiter(&waiter), -EINTR, "%s", what);
	expect(signals_seen[SIGUSR1] - before, 1, "%s: handlers run", what);
}

int main(void)
{
	io_context_t ctx = new_context(4);
	struct timespec long_while = { 20, 0 }, negative = { -1, 0 };
	struct channel channel = new_pipe();
	struct iocb iocb;

	interrupt(ctx, 0, NULL, "nothing in flight");
	interrupt(ctx, 0, &long_while, "nothing in flight, a timeout");
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	interrupt(ctx, 0, NULL, "a poll pending");
	interrupt(ctx, SA_RESTART, NULL, "a poll pending, SA_RESTART");
	interrupt(ctx, SA_RESTART, &long_while, "a poll pending, SA_RESTART, a timeout");
	interrupt(ctx, SA_RESTART, &negative, "a poll pending, SA_RESTART, a negative timeout");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "the poll's event");
	end_context(ctx);
	return finish();
}
