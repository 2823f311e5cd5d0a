/* Description: a vfork child destroys a context in whose io_getevents a thread of its parent is, in a
 * signal handler: neither that nor the child's number harms contexts that come later. */
#include "pending.h"

#define ROUNDS 3

static io_context_t ctx;
static long in_handler, may_return;

static void stays(int signal)
{
	(void)signal;
	__atomic_store_n(&in_handler, 1, __ATOMIC_RELEASE);
	EVENTUALLY(__atomic_load_n(&may_return, __ATOMIC_ACQUIRE));
}

int main(void)
{
	struct sigaction action = { .sa_handler = stays };
	struct channel channel = new_pipe();
	volatile int destroyed;
	int status;

	MUST(sigaction(SIGUSR1, &action, NULL));
	for (int round = 0; round < ROUNDS; round++) {
		struct waiter waiter = { .min_nr = 1, .nr = 1 };
		struct iocb iocb;
		pid_t child;

		waiter.ctx = ctx = new_context(4);
		in_handler = may_return = 0;
		start_waiter(&waiter);
		MUST(-pthread_kill(waiter.thread, SIGUSR1));
		EVENTUALLY(__atomic_load_n(&in_handler, __ATOMIC_ACQUIRE));
		destroyed = 1;
		child = (pid_t)MUST(vfork());
		if (child == 0) {
			destroyed = io_destroy(ctx);
			_exit(0);
		}
		MUST(waitpid(child, &status, 0));
		expect(destroyed, 0, "io_destroy in a vfork child");
		__atomic_store_n(&may_return, 1, __ATOMIC_RELEASE);
		expect(end_waiter(&waiter), -EINTR, "io_getevents");

		ctx = new_context(4);
		submit_poll(ctx, &iocb, channel.out, POLLOUT);
		expect(reap_event_of(ctx, &iocb) & POLLOUT, POLLOUT, "poll on the next context");
		end_context(ctx);
	}
	return finish();
}
