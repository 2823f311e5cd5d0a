/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Contexts and requests. An iocb is entered before io_submit is called, since its event may be
 * reaped by another thread before that returns; what was not accepted is taken back. A context is
 * closed when it is destroyed and no call on it is in progress: what is pending then was dropped.
 */
#include "witness.h"

#include <sys/stat.h>

/* Removes keys without requests from a table of more than this. */
#define MANY_KEYS 1024

static size_t slot_of(const void *address, size_t size)
{
	return (size_t)((uintptr_t)address * 0x9e3779b97f4a7c15ul >> 20) & (size - 1);
}

/* ---- Contexts ---- */

static struct context **place_of(io_context_t address)
{
	struct context **place = &w->table[slot_of(address, 4096)];

	while (*place && (*place)->address != address)
		place = &(*place)->next;
	return place;
}

/* The table knows it no longer: its address belongs to another one, or to nobody. */
static void forget(struct context *context)
{
	struct context **place = place_of(context->address);

	if (*place == context)
		*place = context->next;
}

struct context *context_made(io_context_t address)
{
	struct context *old = *place_of(address), *context = w->free_contexts;
	struct context **place;

	if (old) {
		/* io_destroy of the old one has not returned yet, or its ring was unmapped. */
		forget(old);
		if (!old->destroying)
			context_destroyed(old);
	}
	if (context)
		w->free_contexts = context->next;
	else
		context = room(sizeof(*context));
	struct context fresh = { .address = address,
				 .references = 1,
				 .buckets = context->buckets,
				 .size = context->size,
				 .recent = context->recent,
				 .recent_room = context->recent_room };
	*context = fresh;
	if (!context->size) {
		context->size = 64;
		context->buckets = room(64 * sizeof(*context->buckets));
	}
	place = place_of(address);
	*place = context;
	w->contexts++;
	ring_begin(context);
	return context;
}

struct context *context_enter(io_context_t address)
{
	struct context *context = *place_of(address);

	if (context)
		context->references++;
	return context;
}

static void free_request(struct request *request)
{
	request->next = w->free_requests;
	w->free_requests = request;
}

/* Nobody uses the context any more. */
static void close_context(struct context *context)
{
	for (size_t i = 0; i < context->size; i++) {
		struct key *key = context->buckets[i];

		context->buckets[i] = NULL;
		while (key) {
			struct key *next = key->next;

			while (key->first) {
				struct request *request = key->first;

				key->first = request->next;
				w->dropped++;
				strict_dropped(request);
				if (request->counter)
					request->counter->unseen--;
				free_request(request);
			}
			key->next = w->free_keys;
			w->free_keys = key;
			key = next;
		}
	}
	for (struct use *use = context->uses; use; use = use->next) {
		use->counter->contexts--;
		counter_check(use->counter, use->counter->contexts == 0);
	}
	w->blurred += context->is_blurred;
	context->next = w->free_contexts;
	w->free_contexts = context;
}

void context_leave(struct context *context)
{
	if (--context->references == 0)
		close_context(context);
}

void context_destroyed(struct context *context)
{
	if (context->is_destroyed)
		return;
	context->is_destroyed = true;
	forget(context);
	context_leave(context);
}

void context_moved(io_context_t from, io_context_t to)
{
	struct context *context = *place_of(from), **place;

	if (!context || from == to)
		return;
	forget(context);
	context->address = to;
	context->next = NULL;
	place = place_of(to);
	if (!*place)
		*place = context;
}

/* ---- Keys ---- */

static void shrink_or_grow(struct context *context)
{
	size_t old = context->size;
	struct key **buckets = context->buckets, *all = NULL;

	for (size_t i = 0; i < old; i++) {
		while (buckets[i]) {
			struct key *key = buckets[i];

			buckets[i] = key->next;
			if (!key->first && old >= MANY_KEYS) {
				key->next = w->free_keys;
				w->free_keys = key;
				context->keys--;
				continue;
			}
			key->next = all;
			all = key;
		}
	}
	if (context->keys > old / 2) {
		context->size = old * 2;
		context->buckets = room(context->size * sizeof(*buckets));
	}
	while (all) {
		struct key *key = all;
		size_t slot = slot_of(key->obj, context->size);

		all = key->next;
		key->next = context->buckets[slot];
		context->buckets[slot] = key;
	}
}

struct key *key_of(struct context *context, struct iocb *obj, bool make)
{
	struct key *key = context->buckets[slot_of(obj, context->size)];
	size_t slot;

	while (key && key->obj != obj)
		key = key->next;
	if (key || !make)
		return key;
	if (++context->keys > context->size)
		shrink_or_grow(context);
	key = w->free_keys;
	if (key)
		w->free_keys = key->next;
	else
		key = room(sizeof(*key));
	slot = slot_of(obj, context->size);
	*key = (struct key){ .next = context->buckets[slot], .obj = obj };
	context->buckets[slot] = key;
	return key;
}

static void unlink_request(struct context *context, struct key *key, struct request *request)
{
	struct request **place = &key->first, *before = NULL;

	while (*place != request) {
		before = *place;
		place = &(*place)->next;
	}
	*place = request->next;
	if (key->last == request)
		key->last = before;
	context->pending--;
}

/* ---- Requests ---- */

static bool is_transfer(const struct iocb *iocb)
{
	switch (iocb->aio_lio_opcode) {
	case IO_CMD_PREAD:
	case IO_CMD_PWRITE:
	case IO_CMD_PREADV:
	case IO_CMD_PWRITEV:
		return true;
	default:
		return false;
	}
}

/* Only of these it is known that they end: others wait for somebody. */
static bool ends_by_itself(const struct iocb *iocb)
{
	struct stat status;

	if (iocb->aio_lio_opcode == IO_CMD_FSYNC || iocb->aio_lio_opcode == IO_CMD_FDSYNC)
		return true;
	return is_transfer(iocb) && fstat(iocb->aio_fildes, &status) == 0 &&
	       (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

struct request *request_enter(struct context *context, struct iocb *obj, const struct iocb *iocb)
{
	struct key *key = key_of(context, obj, true);
	struct request *request = w->free_requests;

	if (request)
		w->free_requests = request->next;
	else
		request = room(sizeof(*request));
	*request = (struct request){ .data = iocb->data, .since = now_ms() };
	request->transfer_fd = is_transfer(iocb) ? iocb->aio_fildes : -1;
	request->ends_by_itself = ends_by_itself(iocb);
	if (w->is_strict && iocb->aio_lio_opcode == IO_CMD_PREAD) {
		request->buffer = iocb->u.c.buf;
		request->length = iocb->u.c.nbytes;
	}
	if (iocb->u.c.flags & FLAG_RESFD)
		request->counter = counter_of((int)iocb->u.c.resfd);
	if (request->counter) {
		counter_used(context, request->counter);
		request->counter->tentative++;
		request->counter->unseen++;
	}
	if (key->last)
		key->last->next = request;
	else
		key->first = request;
	key->last = request;
	context->pending++;
	return request;
}

void request_accepted(struct context *context, struct request *request)
{
	context->accepted++;
	w->accepted++;
	request->is_accepted = true;
	if (request->transfer_fd != -1)
		counter_moved(request->transfer_fd);
	if (request->counter) {
		request->counter->tentative--;
		request->counter->expected++;
	}
	if (request->is_seen)
		free_request(request);
}

void request_refused(struct context *context, struct iocb *obj, struct request *request)
{
	struct key *key = key_of(context, obj, true);

	if (request->counter)
		request->counter->tentative--;
	if (request->is_seen) {
		/* The event was that of another one, equal to it, which took this one's place. */
		struct request *other = key->first;

		while (other && (other->data != request->data || other->counter != request->counter))
			other = other->next;
		if (!other) {
			violation(&w->foreign, "event of an iocb that was refused: obj %p data %p",
				  (void *)obj, request->data);
			free_request(request);
			return;
		}
		other->is_seen = true;
		unlink_request(context, key, other);
		if (other->counter)
			other->counter->unseen--;
		if (other->is_accepted)
			free_request(other);
	} else {
		unlink_request(context, key, request);
		if (request->counter)
			request->counter->unseen--;
	}
	free_request(request);
}

void event_seen(struct context *context, const struct io_event *event, const char *how)
{
	struct key *key = key_of(context, event->obj, false);
	struct request *request = key ? key->first : NULL;
	long res = (long)event->res;

	while (request && request->data != event->data)
		request = request->next;
	if (!request && key && key->first) {
		request = key->first;
		violation(&w->wrong, "event %s with wrong data: obj %p data %p, submitted with %p", how,
			  (void *)event->obj, event->data, request->data);
	}
	if (!request) {
		if (key && key->seen)
			violation(&w->doubled, "second event %s: obj %p data %p res %ld", how,
				  (void *)event->obj, event->data, res);
		else
			violation(&w->foreign, "event %s of no iocb: obj %p data %p res %ld", how,
				  (void *)event->obj, event->data, res);
		return;
	}
	if (event->res2)
		violation(&w->wrong, "event %s with res2 %ld: obj %p", how, (long)event->res2,
			  (void *)event->obj);
	if (res == -ECANCELED && !key->cancels)
		violation(&w->wrong, "event %s of a cancel that nobody asked for: obj %p", how,
			  (void *)event->obj);
	unlink_request(context, key, request);
	key->seen++;
	request->is_seen = true;
	if (request->counter)
		request->counter->unseen--;
	if (request->is_accepted)
		free_request(request);
}

void request_cancelled(struct context *context, struct iocb *obj, unsigned long seen)
{
	struct key *key = key_of(context, obj, false);
	struct request *request = key ? key->first : NULL;

	while (request && request->is_cancelled)
		request = request->next;
	if (request) {
		request->is_cancelled = true;
		request->ends_by_itself = true;
		request->since = now_ms();
	} else if (!key || key->seen == seen) {
		/* Nor has its event been reaped during the call. */
		violation(&w->wrong, "io_cancel has cancelled what was not pending: obj %p",
			  (void *)obj);
	}
}

/*
 * io_getevents, called at `since`, has returned fewer events than it might: whatever should have
 * ended long before the call is not there.
 */
void look_for_lost(struct context *context, uint64_t since)
{
	for (size_t i = 0; i < context->size && context->pending; i++) {
		for (struct key *key = context->buckets[i]; key; key = key->next) {
			for (struct request *request = key->first; request; request = request->next) {
				if (!request->is_accepted || !request->ends_by_itself ||
				    request->since + w->overdue > since)
					continue;
				violation(&w->lost, "no event after %lu ms: obj %p data %p",
					  (unsigned long)(since - request->since),
					  (void *)key->obj, request->data);
				/* Told once. */
				request->ends_by_itself = false;
			}
		}
	}
}
