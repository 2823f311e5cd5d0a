/* Description: a signal handler may destroy the context in whose io_getevents the thread sleeps. */
#include "pending.h"

#include <signal.h>
#include <sys/time.h>

static io_context_t ctx;
static volatile sig_atomic_t destroyed = 1;

static void handler(int signal)
{
	(void)signal;
	destroyed = io_destroy(ctx);
}

int main(void)
{
	struct itimerval soon = { .it_value.tv_usec = 50000 };
	struct sigaction action = { .sa_handler = handler };
	struct channel channel = new_pipe();
	struct io_event event;
	struct iocb iocb;

	MUST(sigaction(SIGALRM, &action, NULL));
	/* Asleep with nothing to come, and with a poll to wait for. */
	for (int polls = 0; polls < 2; polls++) {
		ctx = new_context(4);
		if (polls)
			submit_poll(ctx, &iocb, channel.in, POLLIN);
		destroyed = 1;
		MUST(setitimer(ITIMER_REAL, &soon, NULL));
		expect(io_getevents(ctx, 1, 1, &event, NULL), -EINTR, "io_getevents");
		expect(destroyed, 0, "io_destroy in the handler");
		expect(io_destroy(ctx), -EINVAL, "io_destroy once more");
	}
	/* Another context has nothing to do with that. */
	ctx = new_context(4);
	submit_poll(ctx, &iocb, channel.out, POLLOUT);
	expect(reap_event_of(ctx, &iocb) & POLLOUT, POLLOUT, "poll on another context");
	end_context(ctx);
	return finish();
}
