/* Description: a signal handler jumps out of an io_submit that blocks in a read or write of a stream: the
 * request has ended with -EINTR, its event and eventfd say so, and nothing is left behind. */
#include "jumping.h"

#include <sys/socket.h>

#define ROUNDS 10

static io_context_t ctx;
static int file, resfd;
static char *memory;

static uint64_t signalled(void)
{
	uint64_t count = 0;

	if (read(resfd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

/* The second of the batch blocks. */
static void block(const char *what, int in, int out)
{
	struct iocb first, blocked, *list[] = { &first, &blocked };
	int before;

	read_once(ctx, file, memory);
	before = entries("/proc/self/fd");
	for (int round = 0; round < ROUNDS; round++) {
		io_prep_pread(&first, file, memory, PAGE, 0);
		if (out != -1)
			io_prep_pwrite(&blocked, out, memory, 16 * PAGE, 0);
		else
			io_prep_pread(&blocked, in, memory, 16, 0);
		io_set_eventfd(&blocked, resfd);
		JUMP_OUT_OF(alarm_in(30000); io_submit(ctx, 2, list));
		overwrite_stack();
		CHECK(reap_event_of(ctx, &first) == PAGE);
		CHECK(reap_event_of(ctx, &blocked) == -EINTR);
		CHECK(signalled() == 1);
		read_once(ctx, file, memory);
	}
	CHECK(entries("/proc/self/fd") == before);
	fact("%s: -EINTR", what);
}

int main(void)
{
	struct channel pipe = new_pipe();
	int pair[2], fifo;

	memory = pages(16, PROT_READ | PROT_WRITE);
	file = scratch_filled("file", 0, PAGE, 'f');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	MUST(mkfifo("fifo", 0600));
	fifo = (int)MUST(open("fifo", O_RDWR | O_CLOEXEC));
	jump_on(SIGALRM);
	/* More than one wait would hold. */
	ctx = new_context(4 * ROUNDS);
	block("read of a pipe", pipe.in, -1);
	block("read of a FIFO", fifo, -1);
	block("read of a socket", pair[0], -1);
	MUST(fcntl(pipe.out, F_SETFL, O_NONBLOCK));
	while (write(pipe.out, memory, PAGE) > 0)
		;
	MUST(fcntl(pipe.out, F_SETFL, 0));
	block("write to a full pipe", -1, pipe.out);
	end_context(ctx);
	return finish();
}
