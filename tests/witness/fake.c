/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A small libaio that does everything inside io_submit, and tells the truth unless FAKE_LIE names a
 * lie. Polls pend until they are cancelled or destroyed. For one thread at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libaio.h>

#define SLOTS 127
#define PENDING 64

struct ring {
	unsigned id, nr, head, tail, magic, compat, incompat, length;
	struct io_event events[SLOTS];
};

/* Beside the ring, which is the program's. */
struct fake {
	struct ring ring;
	struct iocb *pending[PENDING]; /* polls */
	struct iocb copies[PENDING];
	void *last_buffer; /* of a read that was not reaped */
};

static int lie(const char *name)
{
	const char *chosen = getenv("FAKE_LIE");

	return chosen && !strcmp(chosen, name);
}

/* Each lie is told once. */
static int once(const char *name)
{
	static int told;

	return lie(name) && !told++;
}

static void signal_eventfd(const struct iocb *iocb)
{
	unsigned long one = 1;

	if (!(iocb->u.c.flags & 1) || once("eventfd_never"))
		return;
	if (write((int)iocb->u.c.resfd, &one, sizeof(one)) != sizeof(one))
		abort();
	if (once("eventfd_twice") && write((int)iocb->u.c.resfd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void post(struct fake *fake, struct iocb *obj, const struct iocb *iocb, long res)
{
	struct io_event event = { .data = iocb->data, .obj = obj, .res = (unsigned long)res };
	int copies = 1;

	if (once("lose"))
		copies = 0;
	if (once("double"))
		copies = 2;
	if (once("data"))
		event.data = (char *)event.data + 1;
	if (once("obj"))
		event.obj = obj + 1;
	if (once("stranger"))
		event.obj = (struct iocb *)0x1000;
	if (once("res2"))
		event.res2 = 1;
	if (once("cancelled"))
		event.res = (unsigned long)-ECANCELED;
	while (copies--) {
		fake->ring.events[fake->ring.tail] = event;
		fake->ring.tail = (fake->ring.tail + 1) % SLOTS;
	}
	signal_eventfd(iocb);
}

static void *linger(void *unused)
{
	pause();
	return unused;
}

int io_setup(int nr, io_context_t *ctxp)
{
	struct fake *fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	(void)nr;
	fake->ring.nr = SLOTS;
	fake->ring.length = 32;
	if (once("leak_descriptor"))
		epoll_create1(EPOLL_CLOEXEC);
	if (once("leak_thread"))
		pthread_create(&thread, NULL, linger, NULL);
	*ctxp = (io_context_t)fake;
	return 0;
}

static void *write_late(void *buffer)
{
	usleep(20000);
	memset(buffer, 0x77, 16);
	return NULL;
}

int io_destroy(io_context_t ctx)
{
	struct fake *fake = (struct fake *)ctx;
	pthread_t thread;

	for (int i = 0; i < PENDING; i++)
		if (fake->pending[i])
			signal_eventfd(&fake->copies[i]);
	if (fake->last_buffer && once("late_write"))
		pthread_create(&thread, NULL, write_late, fake->last_buffer);
	if (once("late_ring"))
		pthread_create(&thread, NULL, write_late, fake->ring.events);
	munmap(fake, sizeof(*fake));
	return 0;
}

static int perform(struct fake *fake, struct iocb *iocb)
{
	long got;
	int i = 0;

	switch (iocb->aio_lio_opcode) {
	case IO_CMD_PREAD:
		got = pread(iocb->aio_fildes, iocb->u.c.buf, iocb->u.c.nbytes, iocb->u.c.offset);
		fake->last_buffer = iocb->u.c.buf;
		break;
	case IO_CMD_PWRITE:
		got = pwrite(iocb->aio_fildes, iocb->u.c.buf, iocb->u.c.nbytes, iocb->u.c.offset);
		break;
	case IO_CMD_POLL:
		while (fake->pending[i])
			i++;
		fake->pending[i] = iocb;
		fake->copies[i] = *iocb;
		return 0;
	default:
		/* Refused, and there is an event all the same. */
		if (once("refused"))
			post(fake, iocb, iocb, 0);
		return -EINVAL;
	}
	post(fake, iocb, iocb, got == -1 ? -errno : got);
	return 0;
}

int io_submit(io_context_t ctx, long nr, struct iocb *list[])
{
	for (long i = 0; i < nr; i++) {
		int error = perform((struct fake *)ctx, list[i]);

		if (error)
			return i ? (int)i : error;
	}
	return (int)nr;
}

int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *result)
{
	struct fake *fake = (struct fake *)ctx;

	(void)result;
	if (once("cancel_made_up"))
		return -EINPROGRESS;
	for (int i = 0; i < PENDING; i++) {
		if (fake->pending[i] != iocb)
			continue;
		fake->pending[i] = NULL;
		if (once("cancel_loses"))
			return -EINPROGRESS;
		post(fake, iocb, &fake->copies[i], 0);
		return -EINPROGRESS;
	}
	return -EINVAL;
}

int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout)
{
	struct ring *ring = (struct ring *)ctx;
	long got = 0;

	/* The late write is one into a buffer whose event was not reaped. */
	((struct fake *)ctx)->last_buffer = NULL;
	while (got < nr && ring->head != ring->tail) {
		events[got++] = ring->events[ring->head];
		ring->head = (ring->head + 1) % SLOTS;
	}
	if (got < min_nr && timeout)
		usleep((useconds_t)(timeout->tv_sec * 1000000 + timeout->tv_nsec / 1000));
	if (got == 8 && once("too_many"))
		return 9;
	return (int)got;
}
