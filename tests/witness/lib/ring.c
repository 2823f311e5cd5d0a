/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Programs may take events out of the ring by themselves and move head (QEMU, fio, SPDK). What they
 * took is found out when they call the next time: head has moved further than by what io_getevents
 * has delivered. A slot is free again only when head has passed it and is filled only by requests
 * that are submitted later, so what was taken is still there when io_submit is entered. This holds
 * where one thread at a time submits and takes; else the context may be blurred, and the verdict
 * counts it.
 *
 * The ring is read by process_vm_readv: it is the program's to unmap.
 */
#include "witness.h"

struct header {
	uint32_t id, nr, head, tail, magic, compat_features, incompat_features, length;
};

static bool read_header(struct context *context, struct header *header)
{
	return peek(header, context->address, sizeof(*header)) == sizeof(*header);
}

void ring_begin(struct context *context)
{
	struct header header;

	if (!read_header(context, &header) || !header.nr || header.head >= header.nr) {
		context->is_blurred = true;
		return;
	}
	context->nr = header.nr;
	context->head = header.head;
}

void ring_delivered(struct context *context, const struct io_event *event)
{
	context->delivered++;
	if (context->recent_count == context->recent_room) {
		struct io_event *more;

		/* More cannot be looked up in the ring, but they can be counted. */
		if (context->recent_room >= context->nr)
			return;
		context->recent_room = context->recent_room ? context->recent_room * 2 : 128;
		more = room(context->recent_room * sizeof(*more));
		if (context->recent_count)
			memcpy(more, context->recent, context->recent_count * sizeof(*more));
		context->recent = more;
	}
	context->recent[context->recent_count++] = *event;
}

/* Whether io_getevents has delivered this one; it is taken off the list. */
static bool was_delivered(struct context *context, const struct io_event *event)
{
	for (size_t i = 0; i < context->recent_count; i++) {
		if (context->recent[i].obj == event->obj && context->recent[i].data == event->data) {
			context->recent[i] = context->recent[--context->recent_count];
			return true;
		}
	}
	return false;
}

void ring_reconcile(struct context *context)
{
	struct header header;
	uint32_t nr = context->nr, moved, taken, waiting;

	if (context->is_blurred || context->reaping || context->destroying)
		return;
	if (!read_header(context, &header) || header.nr != nr) {
		context->is_blurred = true;
		return;
	}
	header.head %= nr;
	moved = (header.head + nr - context->head) % nr;
	taken = (uint32_t)((moved + nr - context->delivered % nr) % nr);
	waiting = (header.tail % nr + nr - header.head) % nr;
	if (taken && (context->delivered > context->recent_count || moved + waiting >= nr)) {
		context->is_blurred = true;
		return;
	}
	for (uint32_t i = 0; taken && i < moved; i++) {
		uint32_t slot = (context->head + i) % nr;
		struct io_event event;

		if (peek(&event, (char *)context->address + sizeof(header) + slot * sizeof(event),
			 sizeof(event)) != sizeof(event)) {
			context->is_blurred = true;
			return;
		}
		if (was_delivered(context, &event))
			continue;
		context->taken++;
		w->taken++;
		event_seen(context, &event, "in the ring");
	}
	context->head = header.head;
	context->delivered = context->recent_count = 0;
}
