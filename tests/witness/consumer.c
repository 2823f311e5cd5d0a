/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Uses a libaio in the ways that the witness has to follow, and keeps its promises. It does not look
 * whether the library is right. CONSUMER_TAKES=1: takes events out of the ring by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libaio.h>

#define MANY 24

struct ring {
	unsigned id, nr, head, tail, rest[4];
	struct io_event events[];
};

static int file, counter, ends[2];
static char buffers[MANY][512];
static struct iocb iocbs[MANY];

static void must(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	_exit(2);
}

static void reap(io_context_t ctx, long wanted)
{
	struct io_event events[8];
	struct timespec timeout = { 0, 300000000 };

	for (int turns = 0; wanted > 0 && turns < MANY; turns++) {
		struct ring *ring = (struct ring *)ctx;
		int got = 0;

		if (getenv("CONSUMER_TAKES") && wanted > 3 &&
		    __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) != ring->head)
			ring->head = (ring->head + 1) % ring->nr, got = 1;
		else
			got = io_getevents(ctx, 1, wanted < 8 ? wanted : 8, events, &timeout);
		must(got >= 0, "io_getevents");
		if (!got)
			break;
		wanted -= got;
	}
	/* Whatever there is too much. */
	io_getevents(ctx, 0, 8, events, &(struct timespec){ 0, 0 });
}

/* Reads, half of them with the eventfd, one iocb twice, one iocb refused. */
static void reads(io_context_t ctx)
{
	struct iocb *list[MANY + 1], refused;
	unsigned long count;

	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], file, buffers[i], sizeof(buffers[i]), 512 * i);
		iocbs[i].data = &buffers[i];
		if (i % 2)
			io_set_eventfd(&iocbs[i], counter);
		list[i] = &iocbs[i == 7 ? 6 : i];
	}
	io_prep_pread(&refused, file, buffers[0], 512, 0);
	refused.aio_lio_opcode = 99;
	list[MANY] = &refused;
	must(io_submit(ctx, MANY + 1, list) == MANY, "io_submit");
	must(io_submit(ctx, 1, list + MANY) == -EINVAL, "io_submit of nonsense");
	reap(ctx, MANY);
	must(read(counter, &count, sizeof(count)) == sizeof(count) || errno == EAGAIN, "read");
}

/* Polls: one is cancelled, two are left for io_destroy. */
static void polls(io_context_t ctx)
{
	struct iocb *list[3] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	struct io_event event;

	for (int i = 0; i < 3; i++) {
		io_prep_poll(&iocbs[i], ends[0], POLLIN);
		io_set_eventfd(&iocbs[i], counter);
	}
	must(io_submit(ctx, 3, list) == 3, "io_submit of polls");
	io_cancel(ctx, &iocbs[1], &event);
	io_cancel(ctx, &iocbs[1], &event);
	io_cancel(ctx, &iocbs[5], &event);
	reap(ctx, 1);
}

int main(void)
{
	io_context_t ctx = 0, other = 0;
	struct iocb *list[1] = { &iocbs[0] };

	file = open("consumer.data", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	counter = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must(file != -1 && counter != -1 && pipe2(ends, O_CLOEXEC) == 0, "descriptors");
	must(ftruncate(file, MANY * 512) == 0, "ftruncate");
	must(io_setup(MANY * 2, &ctx) == 0 && io_setup(4, &other) == 0, "io_setup");
	reads(ctx);
	polls(ctx);
	reads(other);
	/* A child has no contexts, and ends without a word. */
	pid_t child = fork();
	must(child != -1, "fork");
	if (!child)
		_exit(0);
	must(waitpid(child, NULL, 0) == child, "waitpid");
	must(io_destroy(ctx) == 0, "io_destroy");
	/* One read is left for io_destroy; its buffer is not touched after that. */
	io_prep_pread(&iocbs[0], file, buffers[0], 512, 0);
	must(io_submit(other, 1, list) == 1, "io_submit of the last one");
	must(io_destroy(other) == 0, "io_destroy of the last one");
	usleep(50000);
	return 0;
}
