/* only: system: here the wait goes on, see getevents_sleeps_through_stop.c */
/* Description: SIGSTOP by another process ends the wait with -EINTR. */
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
	expect(end_waiter(&waiter), -EINTR, "stopped and continued");
	end_context(ctx);
	return finish();
}
