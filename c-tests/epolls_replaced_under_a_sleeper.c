/* not: kernel: polls are the kernel's there, without a descriptor */
/* only: uaio: the kernel's AIO has no descriptors */
/* Description: a thread sleeps in io_getevents for a poll, and the program puts something of its own that
 * is always ready under the number of the library's epoll, or of the timer beside it: the event comes, the
 * thread uses no processor time meanwhile, and what is the program's stays as it is. */
#include "pending.h"

#include <sys/epoll.h>

#define MANY 200

/* More than anybody takes out at a time. */
static int new_epoll(int ready)
{
	int epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));

	for (int i = 0; i < MANY; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)i };
		int copy = (int)MUST(fcntl(ready, F_DUPFD_CLOEXEC, 100));

		MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, copy, &event));
	}
	return epoll;
}

/* The number above 511 behind which /proc shows `name`. */
static int find(const char *name)
{
	char path[64], target[64];

	for (int fd = 512; fd < 1024; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = 0;
		if (strcmp(target, name) == 0)
			return fd;
	}
	return -1;
}

static io_context_t ctx;
static int sleeper;

static void *sleep_for_one(void *argument)
{
	struct io_event event;

	__atomic_store_n(&sleeper, own_tid(), __ATOMIC_RELEASE);
	*(int *)argument = reap(ctx, 1, 1, &event);
	return NULL;
}

static bool is_asleep_now(void)
{
	int tid = __atomic_load_n(&sleeper, __ATOMIC_ACQUIRE);

	return tid && is_asleep(tid);
}

static long cpu_ms(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now));
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run(const char *what, int stranger, bool is_asleep_before)
{
	struct channel channel = new_pipe();
	struct iocb iocb;
	pthread_t thread;
	int got = 0, number;
	long before;

	ctx = new_context(4);
	__atomic_store_n(&sleeper, 0, __ATOMIC_RELEASE);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	number = find(what);
	CHECK(number != -1);
	if (!is_asleep_before)
		MUST(dup3(stranger, number, O_CLOEXEC));
	thread = start(sleep_for_one, &got);
	EVENTUALLY(is_asleep_now());
	if (is_asleep_before) {
		MUST(dup3(stranger, number, O_CLOEXEC));
		/* It wakes and sleeps again. */
		submit_poll(ctx, &(struct iocb){ 0 }, channel.out, POLLIN);
	}
	before = cpu_ms();
	MUST(usleep(500000));
	CHECK(cpu_ms() - before < 250);
	feed(channel.out);
	join(thread);
	expect(got, 1, "%s: events", what);
	end_context(ctx);
	CHECK(fcntl(number, F_GETFD) != -1);
	close(number);
	close_channel(channel);
}

int main(void)
{
	int ready = (int)MUST(eventfd(1, EFD_CLOEXEC)), epoll = new_epoll(ready);
	struct epoll_event events[MANY];
	uint64_t count;

	for (int i = 0; i < 2; i++) {
		run("anon_inode:[eventpoll]", ready, i);
		run("anon_inode:[eventpoll]", epoll, i);
		run("anon_inode:[timerfd]", ready, i);
		run("anon_inode:[timerfd]", epoll, i);
	}
	expect(epoll_wait(epoll, events, MANY, 0), MANY, "the program's epoll");
	expect(read(ready, &count, sizeof(count)), 8, "the program's eventfd");
	expect((long)count, 1, "its count");
	return finish();
}
