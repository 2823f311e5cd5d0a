/* Description: with a zero timeout and nothing to take, io_pgetevents does not even unmask: a
 * pending signal stays pending. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct timespec zero = { 0, 0 };
	struct io_event event;
	sigset_t none, blocked, pending;
	int got;

	count_signal(SIGUSR1, 0);
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &blocked, NULL));
	raise(SIGUSR1);

	got = io_pgetevents(ctx, 1, 1, &event, &zero, &none);
	expect(got, 0, "zero timeout");
	expect(signals_seen[SIGUSR1], 0, "handlers run");
	MUST(sigpending(&pending));
	expect(sigismember(&pending, SIGUSR1), 1, "still pending");

	got = io_pgetevents(ctx, 1, 1, &event, &(struct timespec){ 0, 1 }, &none);
	expect(got, -EINTR, "a timeout of one nanosecond");
	expect(signals_seen[SIGUSR1], 1, "handlers run");
	end_context(ctx);
	return finish();
}
