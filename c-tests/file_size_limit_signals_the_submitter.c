/* Description: a write at RLIMIT_FSIZE is -EFBIG, and SIGXFSZ goes to the thread that submits. */
#include "check.h"

#include <sys/resource.h>

static io_context_t ctx;
static int file, direct;
static char *aligned;
static volatile sig_atomic_t signalled, signalled_tid;

static void on_signal(int signal)
{
	(void)signal;
	signalled++;
	signalled_tid = (int)syscall(SYS_gettid);
}

static long size_of(int fd)
{
	struct stat status;

	MUST(fstat(fd, &status));
	return status.st_size;
}

static void with(struct iocb *iocb, long want, int signals, const char *what)
{
	int before = signalled;

	expect_at_once(ctx, iocb, want, "%s", what);
	/* On return of io_submit the handler has run, in this very thread. */
	expect(signalled - before, signals, "%s: signals", what);
	if (signals)
		CHECK(signalled_tid == (int)syscall(SYS_gettid));
}

static void *submitter(void *argument)
{
	static char data[8192];
	struct iovec iov[2] = { { data, 100 }, { data, 100 } };
	struct iocb iocb;

	(void)argument;
	io_prep_pwrite(&iocb, file, data, 8192, 0);
	with(&iocb, 4096, 0, "write across the limit");
	io_prep_pwrite(&iocb, file, data, 1, 4096);
	with(&iocb, -EFBIG, 1, "write at the limit");
	io_prep_pwritev(&iocb, file, iov, 2, 5000);
	with(&iocb, -EFBIG, 1, "writev past the limit");
	io_prep_pwritev(&iocb, file, iov, 2, 4000);
	with(&iocb, 96, 0, "writev across the limit");
	io_prep_pwrite(&iocb, file, data, 0, 5000);
	with(&iocb, 0, 0, "write of nothing past the limit");
	io_prep_pwrite(&iocb, file, data, 100, 0);
	with(&iocb, 100, 0, "write below the limit");
	io_prep_pwrite(&iocb, direct, aligned, 4096, 4096);
	with(&iocb, -EFBIG, 1, "direct write at the limit");
	io_prep_pwrite(&iocb, direct, aligned, 8192, 0);
	with(&iocb, 4096, 0, "direct write across the limit");
	expect(size_of(file), 4096, "size of the file");
	expect(size_of(direct), 4096, "size of the direct file");
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct rlimit limit = { 4096, RLIM_INFINITY };
	struct iocb iocb;
	int status;

	ctx = new_context(16);
	aligned = pages(2, PROT_READ | PROT_WRITE);
	file = scratch("file", O_TRUNC);
	direct = scratch_direct("direct", 0, 0);
	MUST(sigaction(SIGXFSZ, &action, NULL));
	MUST(setrlimit(RLIMIT_FSIZE, &limit));
	submitter(NULL);

	/* The same in another thread. */
	MUST(ftruncate(file, 0));
	MUST(ftruncate(direct, 0));
	join(start(submitter, NULL));

	/* Blocked: pending for this thread alone. */
	sigset_t mask, pending;
	sigemptyset(&mask);
	sigaddset(&mask, SIGXFSZ);
	MUST(pthread_sigmask(SIG_BLOCK, &mask, NULL));
	int before = signalled;
	io_prep_pwrite(&iocb, file, "x", 1, 4096);
	expect_at_once(ctx, &iocb, -EFBIG, "write at the limit, SIGXFSZ blocked");
	MUST(sigpending(&pending));
	expect(sigismember(&pending, SIGXFSZ), 1, "pending");
	expect(signalled - before, 0, "signals");
	MUST(pthread_sigmask(SIG_UNBLOCK, &mask, NULL));
	expect(signalled - before, 1, "signals after unblocking");

	/* By default it kills, inside io_submit. */
	pid_t child = MUST(fork());
	if (child == 0) {
		io_context_t own = new_context(1);

		signal(SIGXFSZ, SIG_DFL);
		MUST(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }));
		submit(own, &iocb);
		_exit(3);
	}
	MUST(waitpid(child, &status, 0));
	expect(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGXFSZ, "the child dies of signal");
	end_context(ctx);
	return finish();
}
