/*
 * Which requests are on their way.
 *
 * The kernel finishes most requests inside io_submit. Direct I/O on a disk, syncs, and polls that are
 * not ready end later: their events come in any order, and what overlaps them has no certain outcome.
 * A context with such requests is not *settled*: then events are taken with collect(), which waits for
 * all that must come and sorts them.
 */
#ifndef RUNTIME_TRACK_H
#define RUNTIME_TRACK_H

#include "files.h"

struct request {
	bool is_live; /* accepted, and its event was not taken */
	bool is_async; /* ends by itself, later */
	bool is_poll;
	int context;
	int slot; /* of its iocb */
	int opcode;
	int inode;
	long from, to;
	bool is_write;
	unsigned events;
	int signalled; /* inode of its eventfd, or 0 */
	long same; /* the number that its event has: one iocb may be in a batch twice */
	char *buffer; /* of a read into one buffer */
};

enum { REQUESTS = 4096 };

static io_context_t contexts[CONTEXTS];
static bool is_alive[CONTEXTS];
/* The data of an event is the number of its request, plus one. */
static struct request requests[REQUESTS];
static long request_count;

static bool is_transfer(int opcode)
{
	return opcode == IO_CMD_PREAD || opcode == IO_CMD_PWRITE || opcode == IO_CMD_PREADV ||
	       opcode == IO_CMD_PWRITEV;
}

static long count_live(long context, bool (*is_meant)(const struct request *))
{
	long count = 0;

	for (long i = 0; i < request_count; i++)
		count += requests[i].is_live && requests[i].context == context && is_meant(&requests[i]);
	return count;
}

static bool is_unsettled(const struct request *request)
{
	return request->is_async || request->is_poll;
}

static bool is_due(const struct request *request)
{
	return !request->is_poll;
}

static bool is_settled(long context)
{
	return count_live(context, is_unsettled) == 0;
}

/* Whether a poll waits on this file. */
static bool is_polled(int inode)
{
	for (long i = 0; i < request_count; i++)
		if (requests[i].is_live && requests[i].is_poll && requests[i].inode == inode)
			return true;
	return false;
}

/* Whether requests that end later will signal this eventfd. */
static bool is_signalled(int inode)
{
	for (long i = 0; i < request_count; i++)
		if (requests[i].is_live && is_unsettled(&requests[i]) && requests[i].signalled == inode)
			return true;
	return false;
}

/* Whether a request on this file is on its way, and may hold a lock that others would wait for. */
static bool is_busy(int inode)
{
	for (long i = 0; i < request_count; i++)
		if (requests[i].is_live && requests[i].is_async && requests[i].inode == inode)
			return true;
	return false;
}

/* Whether the outcome of a request depends on one that is on its way. */
static bool has_conflict(const struct request *request)
{
	for (long i = 0; i < request_count; i++) {
		const struct request *other = &requests[i];

		if (other->is_live && other->is_async && is_transfer(other->opcode) &&
		    other->inode == request->inode && other->from < request->to &&
		    request->from < other->to && (other->is_write || request->is_write))
			return true;
	}
	return false;
}

/* RWF_NOAPPEND, which older headers do not have. */
#define NO_APPEND 0x20

/* What is known of an iocb that is about to be submitted to a context. */
static struct request describe(long context, long slot)
{
	struct iocb *iocb = &memory->iocbs[slot];
	int opcode = iocb->aio_lio_opcode, fd = iocb->aio_fildes;
	struct request request = { .is_live = true, .context = (int)context, .slot = (int)slot,
				   .opcode = opcode };
	struct file *file = fd >= 20 && fd < 20 + FILES ? &files[fd - 20] : NULL;
	int flags = file ? fcntl(fd, F_GETFL) : -1;
	long length = (long)iocb->u.c.nbytes;
	bool appends;

	request.inode = file ? file->inode : -1;
	if (iocb->u.c.flags & 1 && (int)iocb->u.c.resfd >= 20 && (int)iocb->u.c.resfd < 20 + FILES)
		request.signalled = files[iocb->u.c.resfd - 20].inode;
	request.is_poll = opcode == IO_CMD_POLL;
	request.events = request.is_poll ? iocb->u.poll.events : 0;
	request.is_async = opcode == IO_CMD_FSYNC || opcode == IO_CMD_FDSYNC;
	if (!file || !is_transfer(opcode))
		return request;
	if (opcode == IO_CMD_PREADV || opcode == IO_CMD_PWRITEV) {
		const struct iovec *vector = &memory->vectors[slot][0];

		for (long i = 0, count = length, total = length = 0; i < count && i < 1024; i++)
			length = total += (long)vector[i].iov_len;
	}
	request.is_write = opcode == IO_CMD_PWRITE || opcode == IO_CMD_PWRITEV;
	request.from = iocb->u.c.offset;
	if (length < 0 || length > 1 << 20)
		length = 1 << 20;
	appends = flags != -1 && (flags & O_APPEND || iocb->aio_rw_flags & RWF_APPEND) &&
		  !(iocb->aio_rw_flags & NO_APPEND);
	if (request.is_write && appends)
		request.from = size_of_inode[file->inode];
	request.to = request.from + length;
	if (opcode == IO_CMD_PREAD)
		request.buffer = iocb->u.c.buf;
	request.is_async = is_on_disk(file->kind) && flags != -1 && flags & O_DIRECT;
	/* The kernel waits inside io_submit for a direct write that extends the file. */
	if (request.is_write && request.to > size_of_inode[file->inode]) {
		request.is_async = false;
		size_of_inode[file->inode] = request.to;
	}
	return request;
}

/* Bits of a poll's result that every kernel's result has to have in common with ours. */
static long comparable(const struct request *request, long res)
{
	return request->is_poll && res > 0 ? res & (long)(request->events | POLLERR | POLLHUP) : res;
}

/* The event of one of the requests with this number has come. False: there was none left. */
static bool end_request(long number)
{
	for (long i = 0; i <= number; i++)
		if (requests[i].is_live && requests[i].same == number) {
			requests[i].is_live = false;
			return true;
		}
	return false;
}

/* One event: which request, and its results. */
static void tell_event(const struct io_event *event)
{
	long number = (long)event->data - 1;
	struct request *request;
	long res = (long)event->res;

	if (number < 0 || number >= request_count) {
		tell(" [data %lx obj %lx res %ld]", (long)event->data, (long)event->obj, res);
		return;
	}
	request = &requests[number];
	tell(" [%ld: %ld", number, comparable(request, res));
	if (event->obj != &memory->iocbs[request->slot] && event->obj != (void *)(read_only + 64 * request->slot))
		tell(" obj %lx", (long)event->obj);
	if (event->res2)
		tell(" res2 %lx", event->res2);
	if (!end_request(number))
		tell(" AGAIN");
	if (request->buffer && res > 0 && res <= BUFFER && request->buffer >= memory->buffers[0] &&
	    request->buffer + res <= memory->buffers[BUFFERS - 1] + BUFFER)
		tell(" %x", hash(request->buffer, (size_t)res));
	tell("]");
}

static int by_number(const void *left, const void *right)
{
	const struct io_event *a = left, *b = right;

	return a->data < b->data ? -1 : a->data > b->data;
}

#endif
