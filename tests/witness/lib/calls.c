/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The functions of libaio, each with what is written down before and after it. */
#include "witness.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* As many iocbs as are looked at in one go. */
#define BATCH 64

long witnessed_setup(io_context_t *ctxp, long (*call)(unsigned, io_context_t *), unsigned nr)
{
	struct hold held;
	long got;

	hold(&held);
	report_begin();
	strict_before_setup();
	w->setups++;
	release(&held);
	got = call(nr, ctxp);
	hold(&held);
	w->setups--;
	if (got == 0) {
		w->live++;
		context_made(*ctxp);
	}
	release(&held);
	return got;
}

long witnessed_destroy(io_context_t ctx, long (*call)(io_context_t))
{
	struct context *context;
	struct hold held;
	bool was_last = false;
	long got;

	hold(&held);
	context = context_enter(ctx);
	if (context) {
		ring_reconcile(context);
		context->destroying++;
	}
	release(&held);
	got = call(ctx);
	hold(&held);
	if (got == 0 && context && context->is_destroyed) {
		/* Another thread had destroyed it, and then this address was a context again. */
		struct context *other = context_enter(ctx);

		context->destroying--;
		context_leave(context);
		context = other;
		if (context)
			context->destroying++;
	}
	if (got == 0 && !context)
		w->unknown++;
	if (context) {
		context->destroying--;
		if (got == 0) {
			context_destroyed(context);
			if (w->is_strict)
				strict_ring(ctx);
			was_last = --w->live == 0 && w->setups == 0;
		}
		context_leave(context);
	}
	if (was_last)
		strict_after_last_destroy();
	release(&held);
	return got;
}

/* The iocbs of a call, as far as they can be read. */
struct batch {
	struct iocb *objs[BATCH];
	struct request *requests[BATCH];
	long count;
	struct batch *next;
};

static struct batch *free_batches;

/* Enters up to BATCH iocbs; fewer if the rest is unreadable, and then the library stops there, too. */
static struct batch *enter_batch(struct context *context, struct iocb **list, long nr)
{
	static struct iocb copies[BATCH];
	struct iovec here[BATCH], there[BATCH];
	struct batch *batch = free_batches;
	long readable = nr < BATCH ? nr : BATCH;
	ssize_t got;

	if (batch)
		free_batches = batch->next;
	else
		batch = room(sizeof(*batch));
	batch->next = NULL;
	got = peek(batch->objs, list, (size_t)readable * sizeof(*list));
	readable = got < 0 ? 0 : got / (ssize_t)sizeof(*list);
	for (long i = 0; i < readable; i++) {
		here[i] = (struct iovec){ &copies[i], sizeof(copies[i]) };
		there[i] = (struct iovec){ batch->objs[i], sizeof(copies[i]) };
	}
	got = readable ? process_vm_readv(getpid(), here, (unsigned long)readable, there,
					  (unsigned long)readable, 0) :
			 0;
	batch->count = got < 0 ? 0 : got / (ssize_t)sizeof(copies[0]);
	for (long i = 0; i < batch->count; i++)
		batch->requests[i] = request_enter(context, batch->objs[i], &copies[i]);
	return batch;
}

long witnessed_submit(io_context_t ctx, long nr, struct iocb **list,
		      long (*call)(io_context_t, long, struct iocb **))
{
	struct batch *first = NULL, **last = &first;
	struct context *context;
	struct hold held;
	long got, entered = 0, accepted;

	hold(&held);
	context = context_enter(ctx);
	if (context) {
		ring_reconcile(context);
		/* No more than the ring holds can be accepted. */
		while (entered < nr && (!context->nr || entered <= context->nr)) {
			*last = enter_batch(context, list + entered, nr - entered);
			entered += (*last)->count;
			if ((*last)->count < BATCH)
				break;
			last = &(*last)->next;
		}
	}
	release(&held);
	got = call(ctx, nr, list);
	hold(&held);
	accepted = got > 0 ? got : 0;
	if (!context) {
		w->unknown += (unsigned long)accepted;
		release(&held);
		return got;
	}
	if (accepted > entered)
		violation(&w->wrong, "io_submit took %ld iocbs, and %ld can be read", accepted, entered);
	while (first) {
		struct batch *batch = first;

		/* Accepted ones first: what was refused may have to be compared with them. */
		for (long i = 0; i < batch->count; i++, accepted--) {
			if (accepted > 0)
				request_accepted(context, batch->requests[i]);
			else
				request_refused(context, batch->objs[i], batch->requests[i]);
		}
		first = batch->next;
		batch->next = free_batches;
		free_batches = batch;
	}
	context_leave(context);
	release(&held);
	return got;
}

long witnessed_cancel(io_context_t ctx, struct iocb *obj, struct io_event *result,
		      long (*call)(io_context_t, struct iocb *, struct io_event *))
{
	struct context *context;
	unsigned long seen = 0;
	struct hold held;
	long got;

	hold(&held);
	context = context_enter(ctx);
	if (context) {
		struct key *key;

		ring_reconcile(context);
		key = key_of(context, obj, false);
		if (key) {
			key->cancels++;
			seen = key->seen;
		}
	}
	release(&held);
	got = call(ctx, obj, result);
	hold(&held);
	if (context && got == -EINPROGRESS) {
		request_cancelled(context, obj, seen);
	} else if (context && got != -EINVAL && got != -EFAULT && got != -EAGAIN) {
		violation(&w->wrong, "io_cancel: %ld", got);
	}
	if (context)
		context_leave(context);
	release(&held);
	return got;
}

long witnessed_reap(const struct reap *reap)
{
	struct context *context;
	struct hold held;
	uint64_t since;
	long got;

	hold(&held);
	since = now_ms();
	context = context_enter(reap->ctx);
	if (context) {
		ring_reconcile(context);
		context->reaping++;
	}
	release(&held);
	got = reap->call(reap);
	hold(&held);
	if (!context) {
		w->unknown += got > 0 ? (unsigned long)got : 0;
		release(&held);
		return got;
	}
	if (got > 0 && got > reap->nr)
		violation(&w->wrong, "io_getevents returned %ld of at most %ld", got, reap->nr);
	for (long i = 0; i < got && i < reap->nr; i++) {
		ring_delivered(context, &reap->events[i]);
		context->reaped++;
		w->reaped++;
		event_seen(context, &reap->events[i], "reaped");
	}
	/* With other threads in io_getevents, they may have it. */
	if (--context->reaping == 0 && got >= 0 && got < reap->nr && context->pending)
		look_for_lost(context, since);
	context_leave(context);
	release(&held);
	return got;
}

/* ---- The names of libaio ---- */

#define BEHIND(function, ...) (real()->function ? real()->function(__VA_ARGS__) : -ENOSYS)

static long real_setup(unsigned nr, io_context_t *ctxp)
{
	return BEHIND(setup, (int)nr, ctxp);
}

/*
 * A library may call its own functions by their public names, which are ours here: io_setup() in
 * io_queue_init(), io_destroy() in io_queue_release(), and the new forms in the old ones. What the
 * program has called is written down, once.
 */
static _Thread_local bool is_inside_call;

/* BEHIND for those. */
#define BEHIND_ALONE(function, ...)                                 \
	({                                                          \
		long returned;                                      \
									\
		is_inside_call = true;                              \
		returned = BEHIND(function, __VA_ARGS__);           \
		is_inside_call = false;                             \
		returned;                                           \
	})

static long real_queue_init(unsigned nr, io_context_t *ctxp)
{
	return BEHIND_ALONE(queue_init, (int)nr, ctxp);
}

static long real_destroy(io_context_t ctx)
{
	return BEHIND(destroy, ctx);
}

static long real_queue_release(io_context_t ctx)
{
	return BEHIND_ALONE(queue_release, ctx);
}

static long real_submit(io_context_t ctx, long nr, struct iocb **list)
{
	return BEHIND(submit, ctx, nr, list);
}

static long real_cancel(io_context_t ctx, struct iocb *obj, struct io_event *result)
{
	return BEHIND(cancel, ctx, obj, result);
}

static long real_cancel_0_1(io_context_t ctx, struct iocb *obj, struct io_event *result)
{
	(void)result;
	return BEHIND_ALONE(cancel_0_1, ctx, obj);
}

static long real_getevents(const struct reap *reap)
{
	return BEHIND(getevents, reap->ctx, reap->min_nr, reap->nr, reap->events, reap->timeout);
}

static long real_getevents_0_1(const struct reap *reap)
{
	return BEHIND_ALONE(getevents_0_1, reap->ctx, reap->nr, reap->events, reap->timeout);
}

static long real_pgetevents(const struct reap *reap)
{
	return BEHIND(pgetevents, reap->ctx, reap->min_nr, reap->nr, reap->events, reap->timeout,
		      reap->mask);
}

EXPORT int io_setup(int nr, io_context_t *ctxp)
{
	if (is_inside_call)
		return (int)real_setup((unsigned)nr, ctxp);
	return (int)witnessed_setup(ctxp, real_setup, (unsigned)nr);
}

EXPORT int io_queue_init(int nr, io_context_t *ctxp)
{
	return (int)witnessed_setup(ctxp, real_queue_init, (unsigned)nr);
}

EXPORT int io_destroy(io_context_t ctx)
{
	if (is_inside_call)
		return (int)real_destroy(ctx);
	return (int)witnessed_destroy(ctx, real_destroy);
}

EXPORT int io_queue_release(io_context_t ctx)
{
	return (int)witnessed_destroy(ctx, real_queue_release);
}

EXPORT int io_submit(io_context_t ctx, long nr, struct iocb **list)
{
	return (int)witnessed_submit(ctx, nr, list, real_submit);
}

EXPORT int io_pgetevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			 struct timespec *timeout, sigset_t *mask)
{
	struct reap reap = { ctx, min_nr, nr, events, real_pgetevents, timeout, mask };

	return (int)witnessed_reap(&reap);
}

/* Its callbacks may call anything. What it takes is found out as if the program had taken it. */
EXPORT int io_queue_run(io_context_t ctx)
{
	return BEHIND(queue_run, ctx);
}

EXPORT int cancel_0_4(io_context_t ctx, struct iocb *obj, struct io_event *result)
{
	if (is_inside_call)
		return (int)real_cancel(ctx, obj, result);
	return (int)witnessed_cancel(ctx, obj, result, real_cancel);
}

EXPORT int cancel_0_1(io_context_t ctx, struct iocb *obj)
{
	return (int)witnessed_cancel(ctx, obj, NULL, real_cancel_0_1);
}

EXPORT int getevents_0_4(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			 struct timespec *timeout)
{
	struct reap reap = { ctx, min_nr, nr, events, real_getevents, timeout, NULL };

	if (is_inside_call)
		return (int)real_getevents(&reap);
	return (int)witnessed_reap(&reap);
}

EXPORT int getevents_0_1(io_context_t ctx, long nr, struct io_event *events,
			 struct timespec *timeout)
{
	struct reap reap = { ctx, 1, nr, events, real_getevents_0_1, timeout, NULL };

	return (int)witnessed_reap(&reap);
}

/* They never take an event. */
EXPORT int queue_wait_0_4(io_context_t ctx, struct timespec *timeout)
{
	return BEHIND(queue_wait, ctx, timeout);
}

EXPORT int queue_wait_0_1(io_context_t ctx, const struct timespec *timeout)
{
	return BEHIND(queue_wait_0_1, ctx, timeout);
}

#define VERSION(function, name) __asm__(".symver " #function ", " name ", remove")
VERSION(cancel_0_4, "io_cancel@@LIBAIO_0.4");
VERSION(cancel_0_1, "io_cancel@LIBAIO_0.1");
VERSION(getevents_0_4, "io_getevents@@LIBAIO_0.4");
VERSION(getevents_0_1, "io_getevents@LIBAIO_0.1");
VERSION(queue_wait_0_4, "io_queue_wait@@LIBAIO_0.4");
VERSION(queue_wait_0_1, "io_queue_wait@LIBAIO_0.1");
