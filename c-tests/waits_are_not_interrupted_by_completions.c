/* Description: a thread that waits for something else while its direct I/O completes is not
 * interrupted: no EINTR from poll, ppoll, select, nanosleep, futex or read. */
#include "outlasting.h"

#include <linux/futex.h>
#include <sys/select.h>
#include <sys/timerfd.h>

static struct channel channel;
static int timer;

static int with_poll(const struct timespec *timeout)
{
	struct pollfd state = { channel.in, POLLIN, 0 };

	/* Milliseconds: the shortest is long enough. */
	(void)timeout;
	return poll(&state, 1, 1);
}

static int with_ppoll(const struct timespec *timeout)
{
	struct pollfd state = { channel.in, POLLIN, 0 };

	return ppoll(&state, 1, timeout, NULL);
}

static int with_select(const struct timespec *timeout)
{
	struct timeval left = { timeout->tv_sec, timeout->tv_nsec / 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(channel.in, &set);
	return select(channel.in + 1, &set, NULL, NULL, &left);
}

static int with_nanosleep(const struct timespec *timeout)
{
	return nanosleep(timeout, NULL);
}

static int with_futex(const struct timespec *timeout)
{
	static unsigned word;

	return (int)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, timeout, NULL, 0);
}

static int with_read(const struct timespec *timeout)
{
	struct itimerspec once = { { 0, 0 }, *timeout };
	uint64_t count;

	MUST(timerfd_settime(timer, 0, &once, NULL));
	return (int)read(timer, &count, sizeof(count));
}

int main(void)
{
	static const struct wait waits[] = {
		{ "poll", with_poll, 500 },
		{ "ppoll", with_ppoll, 1900 },
		{ "select", with_select, 1900 },
		{ "nanosleep", with_nanosleep, 1900 },
		{ "futex", with_futex, 1900 },
		{ "read", with_read, 1900 },
	};

	channel = new_pipe();
	timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	for (size_t i = 0; i < COUNT(waits); i++)
		outlast(&waits[i]);
	return finish();
}
