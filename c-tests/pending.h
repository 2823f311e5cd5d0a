/* Requests that stay pending as long as a test wants, and threads that wait for their events. */
#ifndef PENDING_H
#define PENDING_H

#include "check.h"

#include <limits.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* ---- Files that are not ready until the test makes them so ---- */

struct channel {
	int in; /* the end to read from and to poll */
	int out;
};

static inline struct channel new_pipe(void)
{
	int ends[2];

	MUST(pipe2(ends, O_CLOEXEC));
	return (struct channel){ ends[0], ends[1] };
}

static inline struct channel new_socketpair(int type)
{
	int ends[2];

	MUST(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends));
	return (struct channel){ ends[0], ends[1] };
}

static inline void close_channel(struct channel channel)
{
	close(channel.in);
	close(channel.out);
}

/* Writes one byte. */
static inline void feed(int fd)
{
	MUST(write(fd, "x", 1));
}

/* Writes until there is no room. The descriptor is non-blocking from then on. */
static inline void fill_up(int fd)
{
	char block[PAGE] = { 0 };

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (write(fd, block, sizeof(block)) > 0)
		;
}

/* Reads until nothing is left. The descriptor is non-blocking from then on. */
static inline void empty_out(int fd)
{
	char block[PAGE];

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (read(fd, block, sizeof(block)) > 0)
		;
}

/* The count that an eventfd would give to read(); 0 if it would block. The count is taken. */
static inline long take_count(int fd)
{
	struct pollfd readable = { fd, POLLIN, 0 };
	uint64_t count = 0;

	if (MUST(poll(&readable, 1, 0)) == 1)
		MUST(read(fd, &count, sizeof(count)));
	return (long)count;
}

/* Takes counts until they make want, ten seconds at most; then looks whether more come. */
static inline long take_counts(int fd, long want)
{
	struct pollfd readable = { fd, POLLIN, 0 };
	long end = now_ms() + 10000, total = 0;

	while (total < want && now_ms() < end) {
		MUST(poll(&readable, 1, 100));
		total += take_count(fd);
	}
	sleep_ms(20);
	return total + take_count(fd);
}

/* ---- Polls ---- */

/* Submits an iocb that must be accepted, with data of its own. */
static inline void submit_accepted(io_context_t ctx, struct iocb *iocb)
{
	int got;

	iocb->data = (char *)iocb + 1;
	got = submit(ctx, iocb);
	if (got != 1) {
		errno = got < 0 ? -got : EPROTO;
		die("io_submit of an iocb that should be accepted");
	}
}

static inline void submit_poll(io_context_t ctx, struct iocb *iocb, int fd, int events)
{
	io_prep_poll(iocb, fd, events);
	submit_accepted(ctx, iocb);
}

/* Takes one event, which must be that of the iocb, and returns its res. */
static inline long reap_event_of(io_context_t ctx, const struct iocb *iocb)
{
	struct io_event event;
	int got = reap(ctx, 1, 1, &event);

	if (got != 1) {
		fail("io_getevents: %s, and an event is due", code(got));
		return -ETIMEDOUT;
	}
	if (!event_is_for(&event, iocb))
		fail("the event does not match the iocb");
	return event_res(&event);
}

/* Events that io_getevents finds without waiting; at most 64, and they are dropped. */
static inline int events_there(io_context_t ctx)
{
	struct io_event events[64];

	return io_getevents(ctx, 0, 64, events, &(struct timespec){ 0, 0 });
}

/* ---- Threads ---- */

/*
 * Keeps the thread on the processor that it runs on. The kernel deals out a context's slots to
 * processors in batches, so that one that holds no request may still be refused on another.
 */
static inline void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)MUST(sched_getcpu()), &set);
	MUST(sched_setaffinity(0, sizeof(set), &set));
}

/* Whether a thread of this process sleeps in a system call. */
static inline bool is_asleep(int tid)
{
	char path[64], text[256] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(text, sizeof(text), file))
		text[0] = 0;
	fclose(file);
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

static inline int own_tid(void)
{
	return (int)syscall(SYS_gettid);
}

/* Sends a signal to a thread as soon as that sleeps, and feeds a descriptor 50 ms later. */
struct interrupter {
	pthread_t target;
	int tid;
	int signal; /* or 0 */
	int fd; /* or -1 */
	pthread_t thread;
};

static inline void *interrupter_body(void *argument)
{
	struct interrupter *interrupter = argument;

	EVENTUALLY(is_asleep(interrupter->tid));
	if (interrupter->signal)
		pthread_kill(interrupter->target, interrupter->signal);
	if (interrupter->fd != -1) {
		sleep_ms(50);
		feed(interrupter->fd);
	}
	return NULL;
}

/* Interrupts the calling thread in the call that follows: nothing before that may sleep. */
static inline void start_interrupter(struct interrupter *interrupter, int signal, int fd)
{
	*interrupter = (struct interrupter){ pthread_self(), own_tid(), signal, fd, 0 };
	interrupter->thread = start(interrupter_body, interrupter);
}

/* A thread in io_getevents. Set the first group of members, then start_waiter(). */
struct waiter {
	io_context_t ctx;
	long min_nr, nr;
	struct timespec *timeout;

	int got; /* what io_getevents returned */
	struct io_event events[16];
	long took_ms;

	pthread_t thread;
	int tid;
	bool returned;
};

static inline void *waiter_body(void *argument)
{
	struct waiter *waiter = argument;
	long begin = now_ms();

	__atomic_store_n(&waiter->tid, own_tid(), __ATOMIC_RELEASE);
	waiter->got = io_getevents(waiter->ctx, waiter->min_nr, waiter->nr, waiter->events,
				   waiter->timeout);
	waiter->took_ms = now_ms() - begin;
	__atomic_store_n(&waiter->returned, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Starts it and returns when it sleeps. */
static inline void start_waiter(struct waiter *waiter)
{
	int tid;

	waiter->thread = start(waiter_body, waiter);
	EVENTUALLY((tid = __atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE)) != 0 && is_asleep(tid));
}

static inline bool has_returned(struct waiter *waiter)
{
	return __atomic_load_n(&waiter->returned, __ATOMIC_ACQUIRE);
}

/* What io_getevents returned in the end. */
static inline int end_waiter(struct waiter *waiter)
{
	join(waiter->thread);
	return waiter->got;
}

#endif
