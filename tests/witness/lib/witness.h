/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The witness: a preload library for tests, never installed. It stands in front of a libaio, in any
 * program, and checks that no event is lost, doubled or made up.
 *
 *	LD_PRELOAD=witness.so                 in front of the libaio that the program has
 *	LD_PRELOAD=witness.so:libaio.so.1     in front of another one
 *	WITNESS_LIB=FILE                      in front of this file, whatever the program has
 *	WITNESS_REPORT=FILE                   appends lines to this file, else to standard error
 *	WITNESS_STRICT=1                      the program keeps the promises listed in strict.c
 *	WITNESS_OVERDUE_MS=N                  how long a read, write or sync may take, 10000 by default
 *
 * A process that has made a context writes one line `began`, one for each violation when it is
 * found, and one line `ok` or `BROKEN` with its counts when it exits. One that was killed has no
 * last line.
 *
 * calls.c    the functions of libaio
 * raw.c      syscall()
 * ledger.c   contexts and requests: which event belongs to which iocb
 * ring.c     events that the program takes out of the ring by itself
 * eventfds.c totals of eventfds
 * strict.c   buffers, descriptors and threads
 * report.c   the report, and the end of the process
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <libaio.h>

#define EXPORT __attribute__((visibility("default")))
#define FLAG_RESFD 1u

/* ---- Records ---- */

/* An eventfd, as long as its descriptor can be seen. */
struct counter {
	struct counter *next;
	long id; /* of the kernel, from fdinfo */
	int fd;
	uint64_t first; /* its count when it was first seen */
	uint64_t read, written; /* by the program, since then */
	uint64_t expected; /* accepted requests with this resfd */
	uint64_t tentative; /* iocbs that an io_submit in progress may accept */
	uint64_t unseen; /* of both, those whose event was neither seen nor dropped */
	unsigned contexts; /* that live and have used it */
	unsigned busy; /* reads and writes by the program in progress */
	bool is_gone; /* no descriptor of it is known */
	bool is_unjudged; /* others use it, or it was found wrong already */
};

struct use {
	struct use *next;
	struct counter *counter;
};

/* An iocb in a call of io_submit, and then until its event is seen. */
struct request {
	struct request *next; /* with the same address of the iocb, oldest first */
	void *data;
	struct counter *counter; /* or NULL */
	void *buffer; /* what a read may write into; strict only */
	size_t length;
	uint64_t since; /* milliseconds */
	int transfer_fd; /* of reads and writes, otherwise -1 */
	bool ends_by_itself; /* transfers of files and block devices, and syncs */
	bool is_cancelled; /* by an io_cancel that returned -EINPROGRESS */
	bool is_accepted;
	bool is_seen; /* its event was; then it is in no list */
};

/* All requests of one context with one address of the iocb. */
struct key {
	struct key *next;
	struct iocb *obj;
	struct request *first, *last;
	unsigned long seen, cancels;
};

struct context {
	struct context *next;
	io_context_t address;
	unsigned references; /* calls in progress, and one until it is destroyed */
	unsigned reaping; /* io_getevents in progress */
	unsigned destroying; /* io_destroy in progress */
	bool is_destroyed;
	bool is_blurred; /* what the program took by itself is not known */

	struct key **buckets;
	size_t size, keys;
	struct use *uses;
	unsigned long pending; /* requests in lists */
	unsigned long accepted, reaped, taken;

	/* See ring.c. */
	uint32_t nr, head;
	unsigned long delivered;
	struct io_event *recent;
	size_t recent_count, recent_room;
};

/* Everything of one process. A forked child begins with another one. */
struct witness {
	pid_t pid;
	bool has_begun;
	bool is_strict;
	uint64_t overdue;
	struct context *table[4096];
	struct counter *counters;
	struct request *free_requests;
	struct key *free_keys;
	struct context *free_contexts;
	unsigned long live, setups; /* contexts; io_setup in progress */
	unsigned long contexts, accepted, reaped, taken, dropped, blurred, unknown, leftover;
	unsigned long violations, lost, doubled, foreign, wrong, eventfd, late, leaked;
};
extern struct witness *w;

/* ---- lock.c: one lock for all, signals blocked, errno kept ---- */

struct hold {
	sigset_t mask;
	int error;
};
void hold(struct hold *hold);
void release(struct hold *hold);
void *room(size_t size); /* zeroed, never given back */
uint64_t now_ms(void);
/* Copies memory that need not be there; returns the bytes copied, or -1. */
ssize_t peek(void *to, const void *from, size_t length);

/* ---- ledger.c; all with the lock held ---- */

struct context *context_made(io_context_t address);
struct context *context_enter(io_context_t address); /* NULL: unknown */
void context_leave(struct context *context);
void context_destroyed(struct context *context);
void context_moved(io_context_t from, io_context_t to);
struct key *key_of(struct context *context, struct iocb *obj, bool make);
struct request *request_enter(struct context *context, struct iocb *obj, const struct iocb *iocb);
void request_accepted(struct context *context, struct request *request);
void request_refused(struct context *context, struct iocb *obj, struct request *request);
void event_seen(struct context *context, const struct io_event *event, const char *how);
/* io_cancel has returned -EINPROGRESS; `seen` is what it was before the call. */
void request_cancelled(struct context *context, struct iocb *obj, unsigned long seen);
void look_for_lost(struct context *context, uint64_t since);

/* ---- ring.c ---- */

void ring_begin(struct context *context);
void ring_delivered(struct context *context, const struct io_event *event);
void ring_reconcile(struct context *context);

/* ---- eventfds.c ---- */

struct counter *counter_of(int fd); /* NULL: no eventfd, or it cannot be looked at */
void counter_used(struct context *context, struct counter *counter);
void counter_moved(int fd); /* by a request of the program */
void counter_check(struct counter *counter, bool is_exact);
void counters_at_exit(void);
void counters_forget(void); /* in a forked child */

/* ---- strict.c ---- */

void strict_before_setup(void);
void strict_dropped(const struct request *request);
void strict_ring(io_context_t address); /* of a context that is destroyed */
void strict_after_last_destroy(void);
void strict_buffers(void);

/* ---- report.c ---- */

void report_begin(void);
__attribute__((format(printf, 2, 3))) void violation(unsigned long *kind, const char *format, ...);
void report_end(void);

/* ---- real.c: the functions behind the witness ---- */

struct real {
	int (*queue_init)(int, io_context_t *);
	int (*queue_run)(io_context_t);
	int (*queue_wait)(io_context_t, struct timespec *);
	int (*queue_wait_0_1)(io_context_t, const struct timespec *);
	int (*queue_release)(io_context_t);
	int (*setup)(int, io_context_t *);
	int (*destroy)(io_context_t);
	int (*submit)(io_context_t, long, struct iocb **);
	int (*cancel)(io_context_t, struct iocb *, struct io_event *);
	int (*cancel_0_1)(io_context_t, struct iocb *);
	int (*getevents)(io_context_t, long, long, struct io_event *, struct timespec *);
	int (*getevents_0_1)(io_context_t, long, struct io_event *, const struct timespec *);
	int (*pgetevents)(io_context_t, long, long, struct io_event *, struct timespec *, sigset_t *);
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	int (*close)(int);
	int (*eventfd)(unsigned, int);
	void (*exit)(int) __attribute__((noreturn));
};
const struct real *real(void);
/* Whether a return address is in the library: what it calls by libc's names is not the program's. */
bool is_library(const void *caller);

/* ---- calls.c: each call, by libaio's function or as a system call (raw) ---- */

struct reap {
	io_context_t ctx;
	long min_nr, nr;
	struct io_event *events;
	long (*call)(const struct reap *reap); /* a count or -errno */
	void *timeout, *mask;
};
/* They return a count or -errno; call may set errno, which is kept. */
long witnessed_setup(io_context_t *ctxp, long (*call)(unsigned nr, io_context_t *ctxp), unsigned nr);
long witnessed_destroy(io_context_t ctx, long (*call)(io_context_t));
long witnessed_submit(io_context_t ctx, long nr, struct iocb **list,
		      long (*call)(io_context_t, long, struct iocb **));
long witnessed_cancel(io_context_t ctx, struct iocb *obj, struct io_event *result,
		      long (*call)(io_context_t, struct iocb *, struct io_event *));
long witnessed_reap(const struct reap *reap);

#endif
