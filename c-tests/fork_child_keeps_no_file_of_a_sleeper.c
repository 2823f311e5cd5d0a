/* Description: the file that a sleeping io_submit transfers on is not kept open by a child that is forked
 * meanwhile. One that the sleeping thread's handler forks keeps what its own call uses. */
#include "forking.h"

struct sleeper {
	io_context_t ctx;
	int file, tid;
	bool writes;
};

static pid_t handlers_child;
static struct stat handlers_file;

static void *transfer(void *argument)
{
	struct sleeper *sleeper = argument;
	static char block[1 << 20];
	struct iocb iocb;

	if (sleeper->writes)
		io_prep_pwrite(&iocb, sleeper->file, block, sizeof(block), 0);
	else
		io_prep_pread(&iocb, sleeper->file, block, 1, 0);
	__atomic_store_n(&sleeper->tid, own_tid(), __ATOMIC_RELEASE);
	submit_accepted(sleeper->ctx, &iocb);
	return (void *)reap_event_of(sleeper->ctx, &iocb);
}

static pthread_t start_sleeper(struct sleeper *sleeper)
{
	pthread_t thread = start(transfer, sleeper);
	int tid;

	EVENTUALLY((tid = __atomic_load_n(&sleeper->tid, __ATOMIC_ACQUIRE)) && is_asleep(tid));
	return thread;
}

static void end_child(pid_t child)
{
	kill(child, SIGKILL);
	MUST(waitpid(child, NULL, 0));
}

static bool is_hung_up(int fd)
{
	struct pollfd state = { fd, 0, 0 };

	MUST(poll(&state, 1, 0));
	return state.revents & (POLLHUP | POLLERR);
}

/* `ours` is what is transferred on, `peers` the other end, at which `move` ends the transfer. */
static void with_child(const char *what, int ours, int peers, bool writes, void (*move)(int))
{
	struct sleeper sleeper = { new_context(4), ours, 0, writes };
	pthread_t thread = start_sleeper(&sleeper);
	pid_t child;
	void *got;

	close(ours);
	child = fork_sleeper();
	sleep_ms(50);
	expect(is_hung_up(peers), 0, "%s: end of data while it sleeps", what);
	move(peers);
	pthread_join(thread, &got);
	expect((long)got > 0, 1, "%s: transferred", what);
	EVENTUALLY(is_hung_up(peers));
	expect(is_hung_up(peers), 1, "%s: end of data", what);
	end_child(child);
	close(peers);
	end_context(sleeper.ctx);
}

static void read_all(int fd)
{
	static char block[1 << 16];
	size_t moved = 0;

	while (moved < 1 << 20) {
		ssize_t got = read(fd, block, sizeof(block));

		if (got <= 0)
			die("read of what io_submit writes");
		moved += (size_t)got;
	}
}

/* How many descriptors the file of the sleeping transfer has. */
static int count_descriptors(void)
{
	struct stat now;
	int count = 0;

	for (int fd = 0; fd < 4096; fd++)
		count += fstat(fd, &now) == 0 && now.st_dev == handlers_file.st_dev &&
			 now.st_ino == handlers_file.st_ino;
	return count;
}

static void handler(int unused)
{
	int error = errno, before = count_descriptors();

	(void)unused;
	handlers_child = fork();
	if (handlers_child == 0)
		_exit(count_descriptors() == before ? 0 : 1);
	errno = error;
}

static void in_handler(void)
{
	struct channel channel = new_socketpair(SOCK_STREAM);
	struct sleeper sleeper = { new_context(4), channel.in, 0, false };
	struct sigaction action = { .sa_handler = handler };
	pthread_t thread;
	int status;
	void *got;

	MUST(fstat(channel.in, &handlers_file));
	MUST(sigaction(SIGUSR1, &action, NULL));
	thread = start_sleeper(&sleeper);
	MUST(-pthread_kill(thread, SIGUSR1));
	pthread_join(thread, &got);
	expect((long)got, -EINTR, "a handler that forks: res");
	MUST(waitpid(handlers_child, &status, 0));
	expect(status, 0, "a handler that forks: status of the child");
	end_context(sleeper.ctx);
}

int main(void)
{
	struct channel channel = new_socketpair(SOCK_STREAM);

	with_child("read of a socket", channel.in, channel.out, false, feed);
	channel = new_pipe();
	with_child("write to a pipe", channel.out, channel.in, true, read_all);
	in_handler();
	return finish();
}
