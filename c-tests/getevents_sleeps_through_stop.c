/* only: uaio: the kernel ends the wait with -EINTR though no handler has run */
/* Description: SIGSTOP and SIGCONT by another process do not end the wait. */
#include "pending.h"

/* Stops this process for a moment, from another one. */
static void stop_and_continue(void)
{
	pid_t target = getpid(), child = fork();
	int status;

	if (child == 0) {
		kill(target, SIGSTOP);
		sleep_ms(50);
		kill(target, SIGCONT);
		_exit(0);
	}
	MUST(child);
	while (waitpid(child, &status, 0) == -1 && errno == EINTR)
		;
}

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 1 };
	struct iocb iocb;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	start_waiter(&waiter);
	stop_and_continue();
	sleep_ms(50);
	fact("stopped and continued: %s", has_returned(&waiter) ? "woken" : "asleep");
	CHECK(!has_returned(&waiter));
	feed(channel.out);
	expect(end_waiter(&waiter), 1, "after the event");
	end_context(ctx);
	return finish();
}
