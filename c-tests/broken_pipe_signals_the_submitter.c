/*
 * Description: a write to a pipe or socket without reader is -EPIPE, and SIGPIPE goes to the
 * submitter.
 */
#include "check.h"

#include <sys/resource.h>
#include <sys/socket.h>

static io_context_t ctx;
static int broken, shut, nobody;
static volatile sig_atomic_t signalled, signalled_tid;

static void on_signal(int signal)
{
	(void)signal;
	signalled++;
	signalled_tid = (int)syscall(SYS_gettid);
}

static void with(struct iocb *iocb, long want, int signals, const char *what)
{
	int before = signalled;

	expect_at_once(ctx, iocb, want, "%s", what);
	expect(signalled - before, signals, "%s: signals", what);
	if (signals)
		CHECK(signalled_tid == (int)syscall(SYS_gettid));
}

static void *submitter(void *argument)
{
	struct iovec iov = { "x", 1 };
	struct iocb iocb;

	(void)argument;
	io_prep_pwrite(&iocb, broken, "x", 1, 0);
	with(&iocb, -EPIPE, 1, "pipe");
	io_prep_pwritev(&iocb, broken, &iov, 1, 0);
	with(&iocb, -EPIPE, 1, "pipe, writev");
	io_prep_pwrite(&iocb, broken, "", 0, 0);
	with(&iocb, 0, 0, "pipe, nothing");
	io_prep_pwrite(&iocb, shut, "x", 1, 0);
	with(&iocb, -EPIPE, 1, "socket that was shut down");
	io_prep_pwrite(&iocb, nobody, "x", 1, 0);
	with(&iocb, -EPIPE, 1, "socket without peer");
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct iocb iocb, *list[3] = { &iocb, &iocb, &iocb };
	int pair[2], status;

	ctx = new_context(16);
	MUST(sigaction(SIGPIPE, &action, NULL));
	MUST(pipe2(pair, O_CLOEXEC));
	close(pair[0]);
	broken = pair[1];
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	MUST(shutdown(pair[1], SHUT_WR));
	shut = pair[1];
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	close(pair[0]);
	nobody = pair[1];

	submitter(NULL);
	join(start(submitter, NULL));

	/* A batch goes on after it. */
	int before = signalled;
	struct io_event events[3];
	io_prep_pwrite(&iocb, broken, "x", 1, 0);
	expect(io_submit(ctx, 3, list), 3, "three in a batch");
	expect(in_ring(ctx), 3, "events at once");
	CHECK(signalled > before);
	expect(reap(ctx, 3, 3, events), 3, "reaped");
	for (int i = 0; i < 3; i++)
		expect(event_res(&events[i]), -EPIPE, "event %d", i);

	/* Blocked: pending for this thread alone, so another one never sees it. */
	sigset_t mask, pending;
	sigemptyset(&mask);
	sigaddset(&mask, SIGPIPE);
	MUST(pthread_sigmask(SIG_BLOCK, &mask, NULL));
	before = signalled;
	expect_at_once(ctx, &iocb, -EPIPE, "SIGPIPE blocked");
	MUST(sigpending(&pending));
	expect(sigismember(&pending, SIGPIPE), 1, "pending");
	CHECK(sigtimedwait(&mask, NULL, &(struct timespec){ 0, 0 }) == SIGPIPE);
	expect(signalled - before, 0, "signals");
	MUST(pthread_sigmask(SIG_UNBLOCK, &mask, NULL));

	signal(SIGPIPE, SIG_IGN);
	expect_at_once(ctx, &iocb, -EPIPE, "SIGPIPE ignored");

	pid_t child = MUST(fork());
	if (child == 0) {
		io_context_t own = new_context(1);

		signal(SIGPIPE, SIG_DFL);
		submit(own, &iocb);
		_exit(3);
	}
	MUST(waitpid(child, &status, 0));
	expect(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGPIPE, "the child dies of signal");
	end_context(ctx);
	return finish();
}
