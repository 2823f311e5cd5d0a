/* only: uaio: the kernel's AIO has no descriptors */
/* Description: while io_submit sleeps in a transfer on a stream, the program puts a file of its own at the
 * number of the duplicate that holds the stream, or closes that: the transfer goes on, and the program's
 * file is neither read, written nor closed; nor if a handler then jumps out of the call. */
#include "jumping.h"

struct sleeper {
	io_context_t ctx;
	int file, tid;
	bool writes;
};

static bool is_same(int one, int other)
{
	struct stat first, second;

	return fstat(one, &first) == 0 && fstat(other, &second) == 0 &&
		first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* The duplicate is above all numbers of the program. */
static int find_duplicate(int of)
{
	for (int fd = 1023; fd > of; fd--)
		if (is_same(fd, of))
			return fd;
	return -1;
}

static char block[1 << 18];

static void prepare(struct sleeper *sleeper, struct iocb *iocb)
{
	if (sleeper->writes)
		io_prep_pwrite(iocb, sleeper->file, block, sizeof(block), 0);
	else
		io_prep_pread(iocb, sleeper->file, block, 1, 0);
}

static void *transfer(void *argument)
{
	struct sleeper *sleeper = argument;
	struct iocb iocb;

	prepare(sleeper, &iocb);
	__atomic_store_n(&sleeper->tid, own_tid(), __ATOMIC_RELEASE);
	submit_accepted(sleeper->ctx, &iocb);
	return (void *)reap_event_of(sleeper->ctx, &iocb);
}

static int find_when_asleep(struct sleeper *sleeper)
{
	int tid, duplicate;

	EVENTUALLY((tid = __atomic_load_n(&sleeper->tid, __ATOMIC_ACQUIRE)) && is_asleep(tid) &&
		   (duplicate = find_duplicate(sleeper->file)) != -1);
	return duplicate;
}

static void move_all(int fd, bool reads)
{
	static char room[sizeof(block)];
	size_t moved = 0;

	if (!reads) {
		feed(fd);
		return;
	}
	while (moved < sizeof(room))
		moved += (size_t)MUST(read(fd, room, sizeof(room)));
}

/* `ours` is what is transferred on, `peers` the other end; `other` comes to the number, if it is not -1. */
static void run(const char *what, int ours, int peers, bool writes, int other)
{
	struct sleeper sleeper = { new_context(4), ours, 0, writes };
	pthread_t thread = start(transfer, &sleeper);
	int duplicate = find_when_asleep(&sleeper);
	void *got;

	if (other == -1)
		close(duplicate);
	else
		MUST(dup2(other, duplicate));
	move_all(peers, writes);
	pthread_join(thread, &got);
	expect((long)got, writes ? (long)sizeof(block) : 1, "%s", what);
	if (other != -1) {
		CHECK(is_same(duplicate, other));
		close(duplicate);
	}
	end_context(sleeper.ctx);
}

static void run_all(const char *how, int other)
{
	struct channel socket = new_socketpair(SOCK_STREAM), pipe = new_pipe();
	int fifo, fifo_out, first;
	char name[100];

	MUST(mkfifo("fifo", 0600));
	first = (int)MUST(open("fifo", O_RDWR | O_CLOEXEC));
	fifo_out = (int)MUST(open("fifo", O_WRONLY | O_CLOEXEC));
	/* Above the other end. */
	fifo = (int)MUST(fcntl(first, F_DUPFD_CLOEXEC, fifo_out));
	close(first);
	MUST(unlink("fifo"));
	snprintf(name, sizeof(name), "read of a socket, %s", how);
	run(name, socket.in, socket.out, false, other);
	snprintf(name, sizeof(name), "read of a FIFO, %s", how);
	run(name, fifo, fifo_out, false, other);
	snprintf(name, sizeof(name), "write to a pipe, %s", how);
	run(name, pipe.out, pipe.in, true, other);
	close_channel(socket);
	close_channel(pipe);
	close(fifo);
	close(fifo_out);
}

/* The program has closed its own number, too. */
static void without_any(void)
{
	struct channel channel = new_socketpair(SOCK_STREAM), other = new_socketpair(SOCK_STREAM);
	struct sleeper sleeper = { new_context(4), channel.in, 0, false };
	pthread_t thread = start(transfer, &sleeper);
	int duplicate = find_when_asleep(&sleeper);
	void *got;

	feed(other.out);
	MUST(dup2(other.in, channel.in));
	MUST(dup2(other.in, duplicate));
	pthread_join(thread, &got);
	expect((long)got, -EBADF, "nothing leads to the file");
	expect(read(other.in, block, 2), 1, "left in the other");
	close(duplicate);
	end_context(sleeper.ctx);
}

static struct sleeper left;

static void *leave(void *other)
{
	struct iocb iocb;
	int duplicate;

	prepare(&left, &iocb);
	__atomic_store_n(&left.tid, own_tid(), __ATOMIC_RELEASE);
	JUMP_OUT_OF(submit(left.ctx, &iocb));
	duplicate = find_duplicate((int)(long)other);
	expect(reap_event_of(left.ctx, &iocb), -EINTR, "left");
	CHECK(is_same(duplicate, (int)(long)other));
	return NULL;
}

int main(void)
{
	struct channel other = new_socketpair(SOCK_STREAM), channel = new_socketpair(SOCK_STREAM);
	int quiet = (int)MUST(eventfd(0, EFD_CLOEXEC));
	pthread_t thread;

	run_all("closed", -1);
	/* Ready for everything. */
	feed(other.out);
	run_all("replaced", other.in);
	expect(read(other.in, block, 2), 1, "left in the other");
	/* Ready for nothing that a reader waits for. */
	run_all("replaced by what is not ready", quiet);
	CHECK(take_count(quiet) == 0);
	without_any();
	left = (struct sleeper){ new_context(4), channel.in, 0, false };
	jump_on(SIGUSR1);
	thread = start(leave, (void *)(long)other.in);
	MUST(dup2(other.in, find_when_asleep(&left)));
	MUST(-pthread_kill(thread, SIGUSR1));
	pthread_join(thread, NULL);
	end_context(left.ctx);
	return finish();
}
