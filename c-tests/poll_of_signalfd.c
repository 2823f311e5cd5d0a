/* not: kernel: the poll is the kernel's there */
/* only: uaio: the kernel looks for signals to a thread of its own and never completes it */
/* Description: a poll of a signalfd completes when a signal comes. */
#include "pending.h"

#include <sys/signalfd.h>

int main(void)
{
	io_context_t ctx = new_context(4);
	struct iocb iocb;
	sigset_t set;
	int signals;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	signals = (int)MUST(signalfd(-1, &set, SFD_CLOEXEC));
	submit_poll(ctx, &iocb, signals, POLLIN);
	expect(events_there(ctx), 0, "events before");
	kill(getpid(), SIGUSR1);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "then");
	end_context(ctx);
	return finish();
}
