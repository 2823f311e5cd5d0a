/* Description: a signal to the process that all threads of the program block stays pending while
 * requests are in flight: no thread of the library runs the program's handlers. */
#include "pending.h"

static volatile sig_atomic_t handler_tid;

static void handler(int signal)
{
	(void)signal;
	handler_tid = (int)syscall(SYS_gettid);
}

int main(void)
{
	int file = scratch_direct("file", 16 * PAGE, 'f');
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *buffer = pages(16, PROT_READ | PROT_WRITE);
	struct sigaction action = { .sa_handler = handler };
	io_context_t ctx = new_context(64);
	struct channel channel = new_pipe();
	sigset_t blocked, pending;
	struct iocb iocbs[18], *list[18];
	struct io_event events[18];

	MUST(sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	for (int i = 0; i < 16; i++)
		io_prep_pread(&iocbs[i], file, buffer + i * PAGE, PAGE, i * (long)PAGE);
	io_prep_fdsync(&iocbs[16], file);
	io_prep_poll(&iocbs[17], channel.in, POLLIN);
	for (int i = 0; i < 18; i++) {
		list[i] = &iocbs[i];
		io_set_eventfd(&iocbs[i], resfd);
	}
	/* Threads of the library begin while the signal is open, and are to block it all the same. */
	expect(io_submit(ctx, 18, list), 18, "submitted");
	expect(reap(ctx, 17, 17, events), 17, "events");
	MUST(pthread_sigmask(SIG_BLOCK, &blocked, NULL));
	for (int i = 0; i < 5; i++) {
		MUST(kill(getpid(), SIGUSR1));
		expect(io_submit(ctx, 16, list), 16, "submitted");
		expect(reap(ctx, 16, 16, events), 16, "events");
		sleep_ms(5);
		expect(handler_tid, 0, "the handler has run");
	}
	MUST(sigpending(&pending));
	expect(sigismember(&pending, SIGUSR1), 1, "the signal is pending");
	MUST(pthread_sigmask(SIG_UNBLOCK, &blocked, NULL));
	expect(handler_tid == (int)syscall(SYS_gettid), 1, "the handler has run here");
	end_context(ctx);
	return finish();
}
