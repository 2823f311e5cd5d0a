/* Description: a poll of a file that is ready completes inside io_submit, with what was asked for
 * and is so, and with POLLERR and POLLHUP. */
#include "pending.h"

#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static io_context_t ctx;

static void expect_ready(int fd, int events, long want, const char *what)
{
	struct iocb iocb;

	io_prep_poll(&iocb, fd, events);
	expect_at_once(ctx, &iocb, want, "%s, %#x", what, (unsigned)events);
}

static void pipes(void)
{
	struct channel pipe = new_pipe();

	expect_ready(pipe.out, POLLOUT, POLLOUT, "empty pipe");
	expect_ready(pipe.out, POLLOUT | POLLWRNORM, POLLOUT | POLLWRNORM, "empty pipe");
	expect_ready(pipe.out, POLLOUT | POLLIN, POLLOUT, "empty pipe");
	feed(pipe.out);
	expect_ready(pipe.in, POLLIN, POLLIN, "full pipe");
	expect_ready(pipe.in, POLLRDNORM, POLLRDNORM, "full pipe");
	expect_ready(pipe.in, POLLIN | POLLRDNORM | POLLPRI, POLLIN | POLLRDNORM, "full pipe");
	close(pipe.out);
	expect_ready(pipe.in, POLLIN, POLLIN | POLLHUP, "full pipe without writer");
	expect_ready(pipe.in, POLLOUT, POLLHUP, "full pipe without writer");
	MUST(read(pipe.in, &(char){ 0 }, 1));
	expect_ready(pipe.in, POLLIN, POLLHUP, "empty pipe without writer");
	expect_ready(pipe.in, 0, POLLHUP, "empty pipe without writer");

	pipe = new_pipe();
	close(pipe.in);
	expect_ready(pipe.out, POLLOUT, POLLOUT | POLLERR, "pipe without reader");
	expect_ready(pipe.out, 0, POLLERR, "pipe without reader");
}

static void sockets(void)
{
	struct channel pair = new_socketpair(SOCK_STREAM);
	int tcp = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	expect_ready(pair.in, POLLOUT, POLLOUT, "socket");
	feed(pair.out);
	expect_ready(pair.in, POLLIN, POLLIN, "socket with data");
	expect_ready(pair.in, POLLIN | POLLOUT, POLLIN | POLLOUT, "socket with data");
	MUST(shutdown(pair.out, SHUT_WR));
	expect_ready(pair.in, POLLRDHUP, POLLRDHUP, "socket, peer will not write");
	expect_ready(pair.in, POLLIN, POLLIN, "socket, peer will not write");
	close(pair.out);
	expect_ready(pair.in, 0, POLLHUP, "socket without peer");

	expect_ready(tcp, POLLOUT, POLLOUT | POLLHUP, "tcp, never connected");
	pair = new_socketpair(SOCK_STREAM);
	MUST(shutdown(pair.in, SHUT_RDWR));
	expect_ready(pair.in, POLLIN, POLLIN | POLLHUP, "socket, shut down");
}

static void special_files(void)
{
	int event = (int)MUST(eventfd(0, 0)), timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	int notify = (int)MUST(inotify_init1(0)), child, signals;
	struct itimerspec soon = { .it_value = { 0, 1 } };
	sigset_t set;

	expect_ready(event, POLLOUT, POLLOUT, "eventfd 0");
	MUST(eventfd_write(event, 1));
	expect_ready(event, POLLIN, POLLIN, "eventfd 1");
	expect_ready(event, POLLIN | POLLOUT, POLLIN | POLLOUT, "eventfd 1");
	MUST(eventfd_write(event, UINT64_MAX - 2));
	expect_ready(event, POLLIN | POLLOUT, POLLIN, "eventfd full");

	MUST(timerfd_settime(timer, 0, &soon, NULL));
	sleep_ms(10);
	expect_ready(timer, POLLIN, POLLIN, "timerfd");

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	signals = (int)MUST(signalfd(-1, &set, 0));
	kill(getpid(), SIGUSR1);
	expect_ready(signals, POLLIN, POLLIN, "signalfd");

	MUST(inotify_add_watch(notify, ".", IN_CREATE));
	close(scratch("noticed", 0));
	expect_ready(notify, POLLIN, POLLIN, "inotify");

	child = (int)MUST(fork());
	if (child == 0)
		_exit(0);
	MUST(waitid(P_PID, (id_t)child, &(siginfo_t){ 0 }, WEXITED | WNOWAIT));
	child = (int)syscall(SYS_pidfd_open, child, 0);
	if (child != -1)
		expect_ready(child, POLLIN, POLLIN, "pidfd");
}

/* Files with a wait queue for each direction; they can be polled as long as they are ready. */
static void two_queues(void)
{
	int fifo, terminal = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY)), slave;

	MUST(mkfifo("fifo", 0600));
	fifo = (int)MUST(open("fifo", O_RDWR));
	expect_ready(fifo, POLLOUT, POLLOUT, "fifo for both, empty");
	feed(fifo);
	expect_ready(fifo, POLLIN, POLLIN, "fifo for both, full");
	expect_ready(fifo, POLLIN | POLLOUT, POLLIN | POLLOUT, "fifo for both, full");

	MUST(grantpt(terminal));
	MUST(unlockpt(terminal));
	slave = (int)MUST(open(ptsname(terminal), O_RDWR | O_NOCTTY));
	expect_ready(terminal, POLLOUT, POLLOUT, "terminal");
	expect_ready(slave, POLLOUT, POLLOUT, "terminal's slave");
	MUST(write(terminal, "line\n", 5));
	sleep_ms(20);
	expect_ready(slave, POLLIN, POLLIN, "terminal's slave with a line");
	expect_ready(terminal, POLLIN, POLLIN, "terminal with an echo");
}

int main(void)
{
	ctx = new_context(4);
	pipes();
	sockets();
	special_files();
	two_queues();
	end_context(ctx);
	return finish();
}
