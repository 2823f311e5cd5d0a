/* only: uaio: the kernel asks a thread of its own for pending signals, and such a poll never completes */
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
