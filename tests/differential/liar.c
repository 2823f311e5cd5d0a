/*
 * Stands in front of a libaio and tells one lie, now and then: LIE names it. The differential test has
 * to notice each of them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <libaio.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_lie(const char *name)
{
	const char *lie = getenv("LIE");

	return lie && !strcmp(lie, name);
}

static void *next(const char *name, const char *version)
{
	return dlvsym(RTLD_NEXT, name, version);
}

/* Changes what was taken; how many events there are then. */
static int change(struct io_event *events, int count, long room)
{
	for (int i = 0; i < count; i++) {
		long res = (long)events[i].res;
		int is_poll = res > 0 && events[i].obj && events[i].obj->aio_lio_opcode == IO_CMD_POLL;
		int is_read = res > 0 && events[i].obj && events[i].obj->aio_lio_opcode == IO_CMD_PREAD;

		if (is_lie("data"))
			events[i].data = (char *)events[i].data + 1;
		if (is_lie("obj"))
			events[i].obj++;
		if (is_lie("res") && !is_poll && res > 0)
			events[i].res--;
		if (is_lie("res2"))
			events[i].res2 = 1;
		if (is_lie("poll_bits") && is_poll)
			events[i].res &= (unsigned long)~(POLLIN | POLLOUT);
		if (is_lie("read_data") && is_read)
			*(char *)events[i].obj->u.c.buf ^= 1;
		if (is_lie("eventfd") && events[i].obj && events[i].obj->u.c.flags & 1) {
			uint64_t one = 1;

			if (write((int)events[i].obj->u.c.resfd, &one, 8) != 8)
				continue;
		}
	}
	if (is_lie("sync_order") && count > 1) {
		struct io_event first = events[0];

		events[0] = events[count - 1];
		events[count - 1] = first;
	}
	if (is_lie("lost") && count > 0)
		return count - 1;
	if (is_lie("poll_lost") && count > 0 && events[count - 1].obj->aio_lio_opcode == IO_CMD_POLL)
		return count - 1;
	if (is_lie("doubled") && count > 0 && count < room) {
		events[count] = events[count - 1];
		return count + 1;
	}
	return count;
}

int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout)
{
	int (*real)(io_context_t, long, long, struct io_event *, struct timespec *) =
		next("io_getevents", "LIBAIO_0.4");
	int count = real(ctx, min_nr, nr, events, timeout);

	if (is_lie("count") && count == 0)
		return -EINTR;
	return count > 0 ? change(events, count, nr) : count;
}

int io_submit(io_context_t ctx, long nr, struct iocb *iocbs[])
{
	int (*real)(io_context_t, long, struct iocb **) = next("io_submit", "LIBAIO_0.1");
	int count = real(ctx, nr, iocbs);

	if (is_lie("written_data") && count > 0 && iocbs[0]->aio_lio_opcode == IO_CMD_PWRITE &&
	    iocbs[0]->u.c.nbytes > 1) {
		char other = (char)(*(char *)iocbs[0]->u.c.buf ^ 1);

		if (pwrite(iocbs[0]->aio_fildes, &other, 1, iocbs[0]->u.c.offset) != 1)
			errno = 0;
	}
	if (is_lie("errno") && count < 0)
		errno = -count;
	if (is_lie("key") && count > 0)
		iocbs[0]->key = 5;
	if (is_lie("signal") && count > 0)
		raise(SIGUSR1);
	if (is_lie("dead") && count == -EINVAL)
		return -EBADF;
	return count;
}

int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *event)
{
	int (*real)(io_context_t, struct iocb *, struct io_event *) = next("io_cancel", "LIBAIO_0.4");
	int value = real(ctx, iocb, event);

	return is_lie("cancel") && value == -EINPROGRESS ? 0 : value;
}
