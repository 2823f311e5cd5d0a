/* not: uring: task work of io_uring runs in the submitter and cuts these calls as SIGCONT does */
/* Description: a thread whose direct I/O completes while it writes to a pipe or socket, receives
 * with MSG_WAITALL, or reads random bytes, transfers all that it asked for. */
#include "pending.h"

#include <sys/random.h>

#define ROUNDS 50
#define SIZE (1ul << 20)

static io_context_t ctx;
static int file;
static char *memory;
static struct channel pipe_ends, stream;

/* The other end: takes and gives small pieces with pauses. */
static void *slow_reader(void *argument)
{
	int fd = *(int *)argument;
	char piece[PAGE * 4];
	ssize_t got;

	while ((got = read(fd, piece, sizeof(piece))) > 0)
		if (got == (ssize_t)sizeof(piece))
			usleep(10);
	return NULL;
}

static void *slow_writer(void *argument)
{
	static char piece[PAGE * 4];

	(void)argument;
	for (unsigned long done = 0; done < ROUNDS * SIZE / 4; done += sizeof(piece)) {
		MUST(write(stream.out, piece, sizeof(piece)));
		usleep(10);
	}
	return NULL;
}

static long to_pipe(void *buffer)
{
	return write(pipe_ends.out, buffer, SIZE);
}

static long to_socket(void *buffer)
{
	return send(stream.out, buffer, SIZE, 0);
}

static unsigned long received;

static long from_socket(void *buffer)
{
	ssize_t got = recv(stream.in, buffer, SIZE / 4, MSG_WAITALL);

	received += got > 0 ? (unsigned long)got : 0;
	return 4 * got;
}

static long random_bytes(void *buffer)
{
	return getrandom(buffer, SIZE, 0);
}

static long zeroes(void *buffer)
{
	static int zero = -1;

	if (zero == -1)
		zero = (int)MUST(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	return read(zero, buffer, SIZE);
}

static void with(long (*transfer)(void *), const char *name)
{
	static char buffer[SIZE];
	struct iocb iocbs[8], *list[8];
	struct io_event events[8];
	int cut = 0;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < 8; i++) {
			io_prep_pread(&iocbs[i], file, memory + i * 8 * PAGE, 8 * PAGE, 0);
			list[i] = &iocbs[i];
		}
		CHECK(io_submit(ctx, 8, list) == 8);
		cut += transfer(buffer) != (long)SIZE;
		CHECK(reap(ctx, 8, 8, events) == 8);
	}
	expect(cut, 0, "%s: cut", name);
}

int main(void)
{
	pthread_t thread;

	file = scratch_direct("file", 8 * PAGE, 'f');
	memory = pages(64, PROT_READ | PROT_WRITE);
	ctx = new_context(8);
	pipe_ends = new_pipe();
	stream = new_socketpair(SOCK_STREAM);

	thread = start(slow_reader, &pipe_ends.in);
	with(to_pipe, "write to a pipe");
	close(pipe_ends.out);
	join(thread);
	thread = start(slow_writer, NULL);
	with(from_socket, "recv with MSG_WAITALL");
	/* What was cut is still there, and the writer waits for room. */
	while (received < ROUNDS * SIZE / 4)
		received += (unsigned long)MUST(recv(stream.in, memory, PAGE, 0));
	join(thread);
	thread = start(slow_reader, &stream.in);
	with(to_socket, "send to a socket");
	MUST(shutdown(stream.out, SHUT_RDWR));
	join(thread);
	with(random_bytes, "getrandom");
	with(zeroes, "read of /dev/zero");
	end_context(ctx);
	return finish();
}
