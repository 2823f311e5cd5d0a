/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Races of two threads. Both meet, then each waits a moment, then each acts; which one was first is
 * seen by the outcome. The moment is tuned after each race so that both outcomes come equally often.
 *
 * Whatever the outcome, each accepted iocb has one event with its own data: every submission has a
 * number of its own, and the event must carry it. An event that does not come in ten seconds
 * (PATIENCE_S) is lost.
 */
#ifndef RACES_H
#define RACES_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <libaio.h>

#define PAGE 4096l
#define MANY 32 /* requests of a round at most */

/* ---- One run of one kind ---- */

struct kind {
	const char *name;
	const char *first, *second; /* the outcomes: the main thread was first, the other was */
	void (*run)(void);
};
extern const struct kind kinds[];

struct tally {
	long wanted, races, first, second, neither;
	long lost, doubled, wrong;
	uint64_t end_ns;
};
extern struct tally tally;
extern long patience_s; /* after it, what has not come is lost */
extern unsigned long random_state;

uint64_t now_ns(void);
unsigned long random_below(unsigned long limit);
/* Whether there is time and need for another race. */
bool goes_on(void);
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must(bool holds, const char *what);

/* ---- The two threads ---- */

/* The other thread calls `act` once for each meeting. It lives as long as the process. */
void start_other(void (*act)(long index));
/* Both threads are here, and the main one has waited its moment: it acts now. */
void meet(long index);
/* The other thread has acted. */
void part(void);

/* How long somebody waits, in turns of a loop; negative where that means something. */
struct moment {
	long turns, step;
	int last;
};
/* Counts the outcome of one race: 1 the main thread was first, -1 it was not, 0 neither. */
void count(int who);
/* The same, and tunes what meet() waits. */
void outcome(int who);
/* Makes it longer after 1 and shorter after -1. */
void tune(struct moment *moment, int who);
void pause_for(long turns);
/* Yields the processor more and more: for what takes longer than a moment. */
void idle(unsigned *turns);

/* ---- Requests ---- */

struct item {
	struct iocb iocb;
	unsigned long number; /* of its last submission */
	int seen; /* events since then */
	long res;
};
extern struct item items[MANY];
extern int counter; /* an eventfd, empty between the rounds */

io_context_t new_context(int nr);
/* Marks it submitted: its event is due. With the eventfd if `signals`. */
void due(int index, bool signals);
/* It was refused: there must be no event. */
void not_due(int index);
/* Takes note of events; by any thread. */
void note(const struct io_event *events, long count);
/* Takes what is there without waiting. Returns the number, or -errno. */
long take(io_context_t ctx);
/* Waits for the events of items 0 to count - 1 that are still due; then for none too much. */
void all_seen(io_context_t ctx, int count);
/* The eventfd has counted to `count`, and not beyond. */
void counted(long count);
int seen(int index);

/* ---- Files ---- */

struct channel {
	int in, out;
};
extern struct channel channels[MANY];
extern int direct; /* a file of MANY blocks, all bytes 'd' */
extern char *blocks; /* MANY pages */

void need_channels(void);
void need_direct(void);
void feed(int index); /* makes the channel readable */
void drain(int index);

#define LOAD(variable) __atomic_load_n(&(variable), __ATOMIC_ACQUIRE)
#define STORE(variable, value) __atomic_store_n(&(variable), value, __ATOMIC_RELEASE)
#define ADD(variable, value) __atomic_add_fetch(&(variable), value, __ATOMIC_ACQ_REL)

void poll_cancel(void);
void cancel_cancel(void);
void reap_reap(void);
void two_sleepers(void);
void slot(void);
void pipe_read(void);
void ring_take(void);
void direct_reap(void);
void direct_cancel(void);
void destroy_poll(void);
void destroy_direct(void);
void destroy_submit(void);
void signal_event(void);
void fork_event(void);
void exit_event(void);

#endif
