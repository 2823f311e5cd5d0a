/* Description: io_pgetevents waits under its mask, the handler runs under it too, and the thread
 * has its own mask again when the call returns. */
#include "pending.h"

static sigset_t seen_by_handler;

static void look_at_mask(int signal)
{
	signals_seen[signal]++;
	pthread_sigmask(SIG_BLOCK, NULL, &seen_by_handler);
}

static void tell_masks(const char *what)
{
	sigset_t after;

	pthread_sigmask(SIG_BLOCK, NULL, &after);
	fact("%s: handlers run: %d", what, signals_seen[SIGUSR1]);
	fact("%s: the mask's SIGUSR2 in the handler: %s", what,
	     sigismember(&seen_by_handler, SIGUSR2) ? "blocked" : "open");
	fact("%s: then SIGUSR1 %s, SIGUSR2 %s", what,
	     sigismember(&after, SIGUSR1) ? "blocked" : "open",
	     sigismember(&after, SIGUSR2) ? "blocked" : "open");
	CHECK(sigismember(&after, SIGUSR1) && !sigismember(&after, SIGUSR2));
	sigemptyset(&seen_by_handler);
}

int main(void)
{
	io_context_t ctx = new_context(4);
	struct sigaction action = { .sa_handler = look_at_mask, .sa_flags = SA_RESTART };
	struct channel channel = new_pipe();
	struct interrupter interrupter;
	struct timespec timeout = { 20, 0 }, short_while = { 0, 50000000 };
	struct io_event event;
	struct iocb iocb;
	sigset_t own, mask, all;
	int got;

	MUST(sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&own);
	sigaddset(&own, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	submit_poll(ctx, &iocb, channel.in, POLLIN);

	start_interrupter(&interrupter, SIGUSR1, -1);
	got = io_pgetevents(ctx, 1, 1, &event, &timeout, &mask);
	join(interrupter.thread);
	expect(got, -EINTR, "signal while waiting");
	tell_masks("signal while waiting");
	CHECK(signals_seen[SIGUSR1] == 1);

	start_interrupter(&interrupter, SIGUSR1, -1);
	got = io_pgetevents(ctx, 1, 1, &event, NULL, &mask);
	join(interrupter.thread);
	expect(got, -EINTR, "no timeout");
	tell_masks("no timeout");
	CHECK(signals_seen[SIGUSR1] == 2);

	/* Blocked by the thread's own mask. */
	start_interrupter(&interrupter, SIGUSR1, channel.out);
	got = io_pgetevents(ctx, 1, 1, &event, NULL, NULL);
	join(interrupter.thread);
	expect(got, 1, "no mask");
	fact("no mask: handlers run: %d", signals_seen[SIGUSR1]);
	CHECK(signals_seen[SIGUSR1] == 2);
	MUST(read(channel.in, &(char){ 0 }, 1));

	/* The signal is still pending. */
	got = io_pgetevents(ctx, 1, 1, &event, &timeout, &mask);
	expect(got, -EINTR, "pending signal");
	tell_masks("pending signal");
	CHECK(signals_seen[SIGUSR1] == 3);

	/* Blocked by the mask, and open again when the call returns. */
	pthread_sigmask(SIG_UNBLOCK, &own, NULL);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	sigfillset(&all);
	start_interrupter(&interrupter, SIGUSR1, channel.out);
	got = io_pgetevents(ctx, 1, 1, &event, NULL, &all);
	fact("blocked by the mask: handlers run: %d", signals_seen[SIGUSR1]);
	CHECK(signals_seen[SIGUSR1] == 4);
	join(interrupter.thread);
	expect(got, 1, "blocked by the mask");
	fact("blocked by the mask: the mask's SIGUSR2 in the handler: %s",
	     sigismember(&seen_by_handler, SIGUSR2) ? "blocked" : "open");
	CHECK(!sigismember(&seen_by_handler, SIGUSR2));

	got = io_pgetevents(ctx, 1, 1, &event, &short_while, &all);
	expect(got, 0, "timeout under a mask");
	end_context(ctx);
	return finish();
}
