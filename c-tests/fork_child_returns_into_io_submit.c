/* Description: a handler that has interrupted a blocking io_submit forks, and returns in both processes:
 * io_submit returns in both, what it has not done yet is done once, and the child has no context. */
#include "forking.h"
#include "jumping.h"

static io_context_t ctx;
static int file, resfd;
static char block[1 << 20];

/* The blocking one, and one that appends a byte to the file. */
static void run(const char *what, int fd, bool writes, int count)
{
	struct iocb iocbs[2], *list[2] = { &iocbs[0], &iocbs[1] };
	struct io_event events[2] = { { 0 } };
	int submitted, status;

	if (writes)
		io_prep_pwrite(&iocbs[0], fd, block, sizeof(block), 0);
	else
		io_prep_pread(&iocbs[0], fd, block, 1, 0);
	io_prep_pwrite(&iocbs[1], file, "x", 1, 0);
	io_set_eventfd(&iocbs[0], resfd);
	io_set_eventfd(&iocbs[1], resfd);
	MUST(ftruncate(file, 0));
	has_forked = false;
	/* Again, if the first one comes before it sleeps. */
	MUST(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 50000 }, { 0, 50000 } }, NULL));
	submitted = io_submit(ctx, count, list);
	if (child == 0) {
		expect(submitted, count, "%s: child: io_submit", what);
		expect(submit(ctx, &iocbs[1]), -EINVAL, "%s: child: again", what);
		_exit(finish());
	}
	alarm_in(0);
	MUST(waitpid(child, &status, 0));
	expect(status, 0, "%s: status of the child", what);
	expect(submitted, count, "%s: io_submit", what);
	expect(reap(ctx, count, 2, events), count, "%s: events", what);
	expect(event_res(&events[0]), writes ? 65536 : -EINTR, "%s: res", what);
	expect(take_counts(resfd, count), count, "%s: count", what);
	expect((long)lseek(file, 0, SEEK_END), count - 1, "%s: bytes in the file", what);
}

int main(void)
{
	struct channel socket = new_socketpair(SOCK_STREAM), pipe = new_pipe();
	struct sigaction action = { .sa_handler = fork_once };
	int fifo;

	MUST(sigaction(SIGALRM, &action, NULL));
	ctx = new_context(8);
	file = (int)MUST(open("file", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	MUST(mkfifo("fifo", 0600));
	fifo = (int)MUST(open("fifo", O_RDWR | O_CLOEXEC));
	for (int count = 1; count <= 2; count++) {
		run("read of a socket", socket.in, false, count);
		run("read of a FIFO", fifo, false, count);
		run("write to a pipe", pipe.out, true, count);
		empty_out(pipe.in);
	}
	end_context(ctx);
	return finish();
}
