/* not: uring: task work of io_uring runs in the submitter and ends these calls as SIGCONT does */
/* Description: no EINTR either from calls that Linux never restarts: epoll_wait, sigtimedwait,
 * semtimedop, and recv with a timeout. */
#include "outlasting.h"

#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/time.h>

static int epoll, semaphores;
static struct channel stream;

static int with_epoll(const struct timespec *timeout)
{
	struct epoll_event event;

	(void)timeout;
	return epoll_wait(epoll, &event, 1, 1);
}

static int with_sigtimedwait(const struct timespec *timeout)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, timeout);
}

static int with_semtimedop(const struct timespec *timeout)
{
	struct sembuf take = { 0, -1, 0 };

	return semtimedop(semaphores, &take, 1, timeout);
}

static int with_recv(const struct timespec *timeout)
{
	/* In jiffies: the shortest is long enough. */
	struct timeval left = { 0, 1000 };
	char byte;

	(void)timeout;
	MUST(setsockopt(stream.in, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof(left)));
	return (int)recv(stream.in, &byte, 1, 0);
}

int main(void)
{
	static const struct wait waits[] = {
		{ "epoll_wait", with_epoll, 200 },
		{ "sigtimedwait", with_sigtimedwait, 200 },
		{ "semtimedop", with_semtimedop, 200 },
		{ "recv", with_recv, 100 },
	};

	epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	stream = new_socketpair(SOCK_STREAM);
	semaphores = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
	for (size_t i = 0; i < COUNT(waits); i++)
		outlast(&waits[i]);
	MUST(semctl(semaphores, 0, IPC_RMID));
	return finish();
}
