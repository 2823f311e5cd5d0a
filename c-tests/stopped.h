/* A thread that waits in io_getevents while the process is stopped and continued. */
#ifndef STOPPED_H
#define STOPPED_H

#include "pending.h"

struct stopped {
	io_context_t ctx;
	struct channel channel; /* what the thread waits for: that it can be read from */
	struct waiter waiter;
	struct iocb iocb;
};

/* Stops this process for a moment, from another one. */
static inline void stop_and_continue(void)
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

/* The thread sleeps, and the process has been stopped and continued, when this returns. */
static inline void stop_in_getevents(struct stopped *stopped)
{
	stopped->ctx = new_context(4);
	stopped->channel = new_pipe();
	stopped->waiter = (struct waiter){ .ctx = stopped->ctx, .min_nr = 1, .nr = 1 };
	submit_poll(stopped->ctx, &stopped->iocb, stopped->channel.in, POLLIN);
	start_waiter(&stopped->waiter);
	stop_and_continue();
}

#endif
