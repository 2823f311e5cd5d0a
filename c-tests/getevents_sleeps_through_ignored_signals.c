/* Description: signals that are ignored, blocked or handled by another thread do not end the wait,
 * nor does SIGCONT. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 1 };
	struct iocb iocb;
	sigset_t set;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	signal(SIGUSR1, SIG_IGN);
	count_signal(SIGUSR2, 0);
	count_signal(SIGALRM, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	start_waiter(&waiter);
	MUST(sigprocmask(SIG_UNBLOCK, &set, NULL));

	pthread_kill(waiter.thread, SIGUSR1);
	sleep_ms(50);
	fact("ignored: %s", has_returned(&waiter) ? "woken" : "asleep");
	pthread_kill(waiter.thread, SIGUSR2);
	sleep_ms(50);
	fact("blocked: %s", has_returned(&waiter) ? "woken" : "asleep");
	pthread_kill(waiter.thread, SIGCHLD);
	sleep_ms(50);
	fact("ignored by default: %s", has_returned(&waiter) ? "woken" : "asleep");
	raise(SIGALRM);
	sleep_ms(50);
	expect(signals_seen[SIGALRM], 1, "handlers run in another thread");
	fact("handled by another thread: %s", has_returned(&waiter) ? "woken" : "asleep");
	kill(getpid(), SIGCONT);
	sleep_ms(50);
	fact("told to continue: %s", has_returned(&waiter) ? "woken" : "asleep");
	CHECK(!has_returned(&waiter));

	feed(channel.out);
	expect(end_waiter(&waiter), 1, "after the event");
	/* Left pending for a thread that ended with it blocked. */
	expect(signals_seen[SIGUSR2], 0, "blocked handlers run");
	end_context(ctx);
	return finish();
}
