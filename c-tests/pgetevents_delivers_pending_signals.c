/* Description: a pending signal that the mask lets through is delivered under the mask by every
 * io_pgetevents, also by one that has events or an error to return. */
#include "pending.h"

static sigset_t seen_by_handler;

static void look_at_mask(int signal)
{
	signals_seen[signal]++;
	pthread_sigmask(SIG_BLOCK, NULL, &seen_by_handler);
}

static io_context_t ctx;
static sigset_t mask;

static void deliver(int want, long min_nr, long nr, struct timespec *timeout, const char *what)
{
	struct io_event events[4];
	int before = signals_seen[SIGUSR1], got;

	raise(SIGUSR1);
	CHECK(signals_seen[SIGUSR1] == before);
	sigemptyset(&seen_by_handler);
	got = io_pgetevents(ctx, min_nr, nr, events, timeout, &mask);
	fact("%s: handlers run: %d", what, signals_seen[SIGUSR1] - before);
	CHECK(signals_seen[SIGUSR1] == before + 1);
	fact("%s: under the %s mask",
	     what, sigismember(&seen_by_handler, SIGUSR2) ? "call's" : "own");
	CHECK(sigismember(&seen_by_handler, SIGUSR2));
	expect(got, want, "%s", what);
}

int main(void)
{
	struct sigaction action = { .sa_handler = look_at_mask };
	struct timespec zero = { 0, 0 }, long_while = { 20, 0 };
	struct channel ready = new_pipe(), never = new_pipe();
	struct iocb iocbs[8];
	sigset_t own;

	ctx = new_context(8);
	MUST(sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&own);
	sigaddset(&own, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);

	deliver(-EINTR, 0, 1, NULL, "nothing there, min_nr 0");
	deliver(-EINTR, 1, 1, &long_while, "nothing there");
	deliver(-EINVAL, 5, 1, NULL, "bad range");
	submit_poll(ctx, &iocbs[0], never.in, POLLIN);
	deliver(-EINTR, 1, 1, NULL, "a poll pending");
	for (int i = 1; i < 8; i++)
		submit_poll(ctx, &iocbs[i], ready.out, POLLOUT);
	deliver(1, 1, 1, NULL, "enough events");
	deliver(1, 1, 1, &zero, "enough events, zero timeout");
	deliver(1, 0, 1, NULL, "events, min_nr 0");
	deliver(4, 4, 4, &long_while, "all events");
	deliver(-EINTR, 1, 4, &long_while, "no events left");

	submit_poll(ctx, &iocbs[1], ready.out, POLLOUT);
	submit_poll(ctx, &iocbs[2], ready.out, POLLOUT);
	deliver(2, 3, 4, &long_while, "not enough events");
	end_context(ctx);
	return finish();
}
