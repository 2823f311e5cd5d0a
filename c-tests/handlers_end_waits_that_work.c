/* not: uring: where the kernel waits, nobody learns of a handler if there is an event */
/*
 * Description: handlers that come at any time, while the thread waits for a read that it may do itself,
 * run once for each signal, and the read is read: by a call of io_getevents that returned -EINTR and the
 * next one, or by that call. A wait for more than there will be ends when a handler has run, also if its
 * signal came in the middle of a long read.
 */
#include "check.h"

#include <sched.h>
#include <signal.h>
#include <sys/time.h>

#define LARGE (8ul << 20)
#define ROUNDS 12
#define MOST_GONE_ON 3

static volatile sig_atomic_t handled;

static void handler(int signal)
{
	(void)signal;
	handled++;
}

static const struct itimerval often = { { 0, 300 }, { 0, 300 } }, never;

/* How often of 100 times it took a second signal: the first, after `delay` µs or some more, may come
 * before the wait begins. */
static int waits_gone_on(io_context_t ctx, int file, char *memory, int delay)
{
	struct io_event events[2];
	struct iocb iocb;
	int gone_on = 0;
	long count;

	for (int i = 0; i < 100; i++) {
		struct itimerval soon = { { 0, 10000 }, { 0, delay + i % 70 } };

		io_prep_pread(&iocb, file, memory, PAGE, 0);
		handled = 0;
		MUST(setitimer(ITIMER_REAL, &soon, NULL));
		CHECK(submit(ctx, &iocb) == 1);
		count = io_getevents(ctx, 2, 2, events, NULL);
		MUST(setitimer(ITIMER_REAL, &never, NULL));
		if (count == -EINTR)
			count = io_getevents(ctx, 1, 2, events, NULL);
		CHECK(count == 1);
		CHECK(event_is_for(&events[0], &iocb));
		gone_on += handled > 1;
	}
	return gone_on;
}

static pthread_t waiting;
static char waiting_path[64];
/* Rounds whose wait has begun, or is about to; and whose wait has ended. */
static int begun, ended;

/* Whether the thread sleeps, for events or for the disk. */
static bool is_blocked(void)
{
	char text[256];
	const char *state;
	int file = (int)MUST(open(waiting_path, O_RDONLY | O_CLOEXEC));
	long length = MUST(read(file, text, sizeof(text) - 1));

	close(file);
	text[length] = 0;
	state = strrchr(text, ')');
	return state && (state[2] == 'S' || state[2] == 'D');
}

/* A signal for each wait, and more if one is not enough. */
static void *signal_waits(void *gone_on)
{
	for (int round = 1; round <= ROUNDS; round++) {
		long sent;

		while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) < round)
			sched_yield();
		while (!is_blocked())
			;
		pthread_kill(waiting, SIGALRM);
		sent = now_ms();
		while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < round) {
			if (now_ms() - sent > 500) {
				++*(int *)gone_on;
				pthread_kill(waiting, SIGALRM);
				sent = now_ms();
			}
			sleep_ms(1);
		}
	}
	return NULL;
}

/* How often of ROUNDS times one signal in a long read was not enough. */
static int long_waits_gone_on(io_context_t ctx)
{
	int file = scratch_direct("large", LARGE, 'y');
	char *memory = pages(LARGE / PAGE, PROT_READ | PROT_WRITE);
	struct io_event events[2];
	struct iocb iocb;
	pthread_t thread;
	int gone_on = 0;
	long count;

	waiting = pthread_self();
	snprintf(waiting_path, sizeof(waiting_path), "/proc/self/task/%ld/stat", syscall(SYS_gettid));
	thread = start(signal_waits, &gone_on);
	for (int round = 1; round <= ROUNDS; round++) {
		handled = 0;
		io_prep_pread(&iocb, file, memory, LARGE, 0);
		CHECK(submit(ctx, &iocb) == 1);
		__atomic_store_n(&begun, round, __ATOMIC_RELEASE);
		count = io_getevents(ctx, 2, 2, events, NULL);
		__atomic_store_n(&ended, round, __ATOMIC_RELEASE);
		CHECK(handled > 0);
		if (count == -EINTR)
			count = io_getevents(ctx, 1, 2, events, NULL);
		CHECK(count == 1);
		CHECK(event_is_for(&events[0], &iocb));
		CHECK(event_res(&events[0]) == (long)LARGE);
	}
	join(thread);
	return gone_on;
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	int file = scratch_direct("file", 16 * PAGE, 'x');
	char *memory = pages(1, PROT_READ | PROT_WRITE);
	io_context_t ctx = new_context(4);
	struct io_event event;
	struct iocb iocb;
	int gone_on = 100;
	long count;

	MUST(sigaction(SIGALRM, &action, NULL));
	MUST(setitimer(ITIMER_REAL, &often, NULL));
	for (int i = 0; i < 3000; i++) {
		memset(memory, 0, PAGE);
		io_prep_pread(&iocb, file, memory, PAGE, i % 16 * PAGE);
		expect(submit(ctx, &iocb), 1, "submitted");
		do
			count = io_getevents(ctx, 1, 1, &event, NULL);
		while (count == -EINTR);
		expect(count, 1, "reaped");
		CHECK(event_is_for(&event, &iocb));
		expect(event_res(&event), PAGE, "res");
		CHECK(filled_with(memory, 'x', PAGE));
	}
	MUST(setitimer(ITIMER_REAL, &never, NULL));
	CHECK(handled > 0);
	/* On a busy machine many signals come too early, but not if they are late enough. */
	for (int delay = 40; delay < 5000 && gone_on >= 40; delay *= 4)
		gone_on = waits_gone_on(ctx, file, memory, delay);
	CHECK(gone_on < 40);
	CHECK(long_waits_gone_on(ctx) <= MOST_GONE_ON);
	end_context(ctx);
	return finish();
}
