/*
 * What a random program does, as functions of integers: the worker calls them by name, and a program
 * that is printed as C calls them directly. Each writes what happened to the transcript.
 *
 * A program is to do the same each time it runs on the kernel's AIO. So the functions know which
 * requests complete later by themselves, leave out what would conflict with those, and wait for them
 * where their moment would show. See track.h.
 */
#ifndef RUNTIME_BASE_H
#define RUNTIME_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, CONTEXTS = 3, FILES = 8, IOCBS = 16, BUFFERS = 128, BUFFER = 16384, THREADS = 3 };

/* ---- Transcript ---- */

static char transcript[1 << 18];
static size_t transcript_length;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(transcript + transcript_length, sizeof(transcript) - transcript_length, format,
			   arguments);
	va_end(arguments);
	if (length > 0 && transcript_length + (size_t)length < sizeof(transcript))
		transcript_length += (size_t)length;
}

/* Ends a program that cannot run here: that is no difference, but is seen. */
__attribute__((noreturn)) static void trouble(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(3);
}

static unsigned hash(const void *memory, size_t length)
{
	const unsigned char *bytes = memory;
	unsigned value = 2166136261u;

	for (size_t i = 0; i < length; i++)
		value = (value ^ bytes[i]) * 16777619u;
	return value;
}

static void nap(long microseconds)
{
	struct timespec left = { microseconds / 1000000, microseconds % 1000000 * 1000 };

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

/* ---- Memory, at the same addresses in each run ---- */

struct memory {
	struct iocb iocbs[IOCBS];
	char rest_of_iocbs[PAGE - IOCBS * sizeof(struct iocb)];
	struct iovec vectors[IOCBS][1100];
	char padding[PAGE - sizeof(struct iovec[IOCBS][1100]) % PAGE];
	struct io_event events[128];
	struct iocb *list[512];
	char buffers[BUFFERS][BUFFER];
};

static struct memory *const memory = (struct memory *)0x200000000000;
/* A page of iocbs that can only be read, one that cannot be touched, one before unmapped memory. */
static char *const read_only = (char *)0x210000000000;
static char *const no_access = (char *)0x220000000000;
static char *const edge = (char *)0x230000000000;
static char *const unmapped = (char *)0x240000000000;
static char *const kernel = (char *)0xffff888000000000;

static void map(void *address, size_t size, int protection)
{
	if (mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    address)
		trouble("mmap");
}

/* A bad address of the given kind; NULL is among them. */
static void *bad_address(long kind)
{
	switch (kind) {
	case 1:
		return NULL;
	case 2:
		return kernel;
	case 3:
		return unmapped;
	case 4:
		return no_access;
	case 5:
		return read_only;
	default:
		return edge + PAGE - 8;
	}
}

/* ---- Signals ---- */

static volatile sig_atomic_t seen[65];

static void handler(int signal)
{
	seen[signal] = 1;
}

/* Which handlers have run since the last time. */
static void tell_signals(void)
{
	/* Not SIGALRM, which is the harness's own. */
	static const int known[] = { SIGUSR1, SIGPIPE, SIGXFSZ };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (seen[known[i]])
			tell(" %s", sigabbrev_np(known[i]));
		seen[known[i]] = 0;
	}
}

/* A signal for a thread that may sleep for ever. */
static timer_t rescue_of[THREADS];
static __thread int own_thread;

static void make_rescue(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &rescue_of[own_thread]))
		trouble("timer_create");
}

static void rescue_after(long milliseconds)
{
	/* Again and again: the first one may come before the thread sleeps. */
	struct itimerspec time = { .it_interval = { 0, milliseconds * 1000000 },
				   .it_value = { 0, milliseconds * 1000000 } };

	timer_settime(rescue_of[own_thread], 0, &time, NULL);
}

/* ---- Calls in one thread or another, one after the other ---- */

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static void (*turn_call)(const long *);
static const long *turn_arguments;
static int turn_of;
static bool is_started[THREADS];

static void *thread_body(void *argument)
{
	own_thread = (int)(long)argument;
	make_rescue();
	pthread_mutex_lock(&turn_lock);
	for (;;) {
		while (turn_of != own_thread)
			pthread_cond_wait(&turn_changed, &turn_lock);
		turn_call(turn_arguments);
		turn_of = 0;
		pthread_cond_broadcast(&turn_changed);
	}
	return NULL;
}

/* Runs `call` in a thread and waits for it. */
static void in_thread(long thread, void (*call)(const long *), const long *arguments)
{
	pthread_t id;

	if (thread <= 0 || thread >= THREADS) {
		call(arguments);
		return;
	}
	if (!is_started[thread]) {
		if (pthread_create(&id, NULL, thread_body, (void *)thread))
			trouble("pthread_create");
		is_started[thread] = true;
	}
	pthread_mutex_lock(&turn_lock);
	turn_call = call;
	turn_arguments = arguments;
	turn_of = (int)thread;
	pthread_cond_broadcast(&turn_changed);
	while (turn_of != 0)
		pthread_cond_wait(&turn_changed, &turn_lock);
	pthread_mutex_unlock(&turn_lock);
}

/* The value of a system call made through syscall(): negative errno on failure. */
static long raw(long value)
{
	return value == -1 ? -errno : value;
}

#define UNTOUCHED 1234

/* Tells the value of a call of the library, which leaves errno alone. */
static void tell_value(const char *what, long context, long value)
{
	tell("%s %ld: %ld", what, context, value);
	if (errno != UNTOUCHED)
		tell(" errno %d", errno);
	tell_signals();
}

#endif
