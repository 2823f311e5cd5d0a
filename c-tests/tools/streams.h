/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* More work for a library, after that of smoke.h: streams, flags, ends of files, mistakes. */
#ifndef STREAMS_H
#define STREAMS_H

#include "hostile.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Submits one iocb and takes its event: the result. What io_submit refuses comes 100000 lower. */
static inline long smoke_result(io_context_t ctx, struct iocb *iocb)
{
	struct io_event event;
	int n = io_submit(ctx, 1, &iocb);

	if (n != 1)
		return n - 100000;
	while ((n = io_getevents(ctx, 1, 1, &event, NULL)) == -EINTR)
		;
	return n == 1 && event.obj == iocb ? (long)event.res : -200000;
}

static inline int smoke_streams(io_context_t ctx)
{
	static const char text[] = "through a stream";
	char room[64];
	struct iocb iocb;
	int kinds[2][2];

	CHECK_EQ(pipe(kinds[0]), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, kinds[1]), 0);
	for (int i = 0; i < 2; i++) {
		io_prep_pwrite(&iocb, kinds[i][1], (void *)(uintptr_t)text, sizeof(text), 0);
		CHECK_EQ(smoke_result(ctx, &iocb), sizeof(text));
		memset(room, 0, sizeof(room));
		io_prep_pread(&iocb, kinds[i][0], room, sizeof(room), 0);
		CHECK_EQ(smoke_result(ctx, &iocb), sizeof(text));
		CHECK(!memcmp(room, text, sizeof(text)));
		/* Two ends, one of which closes. */
		close(kinds[i][1]);
		CHECK_EQ(smoke_result(ctx, &iocb), 0);
		close(kinds[i][0]);
	}
	return 0;
}

/* A write that finds nobody to read: an event and one signal. A message of nothing. */
static inline int smoke_broken_streams(io_context_t ctx)
{
	struct iocb iocb;
	char room[8];
	int kinds[2][2], messages[2];

	CHECK_EQ(pipe(kinds[0]), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, kinds[1]), 0);
	signal(SIGPIPE, count_signal);
	for (int i = 0; i < 2; i++) {
		close(kinds[i][0]);
		signals = 0;
		io_prep_pwrite(&iocb, kinds[i][1], room, sizeof(room), 0);
		CHECK_EQ(smoke_result(ctx, &iocb), -EPIPE);
		CHECK_EQ(signals, 1);
		close(kinds[i][1]);
	}
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, messages), 0);
	io_prep_pwrite(&iocb, messages[1], room, 0, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), 0);
	CHECK_EQ(recv(messages[0], room, sizeof(room), MSG_DONTWAIT), 0);
	io_prep_pwrite(&iocb, messages[1], room, 3, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), 3);
	CHECK_EQ(recv(messages[0], room, sizeof(room), MSG_DONTWAIT), 3);
	close(messages[0]);
	close(messages[1]);
	return 0;
}

/* Waits that end by their time, with and without a poll, with and without a mask. */
static inline int smoke_waits(io_context_t ctx, const struct smoke *job)
{
	struct timespec moment = { 0, 20000000 };
	struct io_event event;
	struct iocb iocb;
	sigset_t mask;
	int n;

	sigemptyset(&mask);
	for (int round = 0; round < 2; round++) {
		CHECK_EQ(io_getevents(ctx, 1, 1, &event, &moment), 0);
		CHECK_EQ(io_pgetevents(ctx, 1, 1, &event, &moment, &mask), 0);
		if (round)
			break;
		io_prep_poll(&iocb, job->pipe[0], POLLIN);
		n = smoke_submit_poll(ctx, job, &iocb, POLLS_REFUSED);
		if (n)
			return n != -EAGAIN;
	}
	CHECK_EQ(io_cancel(ctx, &iocb, &event), -EINPROGRESS);
	return smoke_reap(ctx, 1, 0);
}

/* The ring moves, and the context with it. */
static inline int smoke_move(const struct smoke *job)
{
	io_context_t ctx = 0;
	struct iocb iocb;

	CHECK_EQ(io_setup(1, &ctx), 0);
	void *moved = mremap(ctx, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED,
			     mmap(NULL, BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	CHECK(moved != MAP_FAILED);
	io_prep_pread(&iocb, job->source_buffered, smoke_buffers[0], BLOCK, 0);
	CHECK_EQ(smoke_result((io_context_t)moved, &iocb), BLOCK);
	CHECK_EQ(io_destroy((io_context_t)moved), 0);
	return 0;
}

struct smoke_sleeper {
	io_context_t ctx;
	struct io_event event;
	int got;
};

static void *smoke_sleep(void *argument)
{
	struct smoke_sleeper *sleeper = argument;

	while ((sleeper->got = io_getevents(sleeper->ctx, 1, 1, &sleeper->event, NULL)) == -EINTR)
		;
	return NULL;
}

/* A thread sleeps, and another one brings it an event: of a buffered read, of direct I/O, of a poll. */
static inline int smoke_sleepers(io_context_t ctx, const struct smoke *job)
{
	struct iocb iocbs[3], *list[1];

	io_prep_pread(&iocbs[0], job->source_buffered, smoke_buffers[0], BLOCK, 0);
	io_prep_pread(&iocbs[1], job->source, smoke_buffers[0], BLOCK, 0);
	io_prep_poll(&iocbs[2], job->pipe[0], POLLIN);
	for (int i = 0; i < 3; i++) {
		struct smoke_sleeper sleeper = { .ctx = ctx };
		pthread_t thread;
		char byte = 'x';

		if (i == 2 && job->may_be_refused >= POLLS_REFUSED)
			break;
		CHECK_EQ(pthread_create(&thread, NULL, smoke_sleep, &sleeper), 0);
		usleep(10000);
		list[0] = &iocbs[i];
		CHECK_EQ(io_submit(ctx, 1, list), 1);
		if (i == 2) {
			usleep(10000);
			CHECK_EQ(write(job->pipe[1], &byte, 1), 1);
		}
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(sleeper.got, 1);
		CHECK(sleeper.event.obj == &iocbs[i]);
		CHECK(i == 2 ? (sleeper.event.res & POLLIN) : sleeper.event.res == BLOCK);
		if (i == 2)
			CHECK_EQ(read(job->pipe[0], &byte, 1), 1);
	}
	return 0;
}

/* Across the end of a file, behind it, of nothing, and with a flag. */
static inline int smoke_edges(io_context_t ctx, const struct smoke *job)
{
	struct iocb iocb;

	io_prep_pread(&iocb, job->source_buffered, smoke_buffers[0], BLOCK, SMOKE_SIZE - 100);
	CHECK_EQ(smoke_result(ctx, &iocb), 100);
	io_prep_pread(&iocb, job->source_buffered, smoke_buffers[0], BLOCK, SMOKE_SIZE + 100);
	CHECK_EQ(smoke_result(ctx, &iocb), 0);
	io_prep_pread(&iocb, job->source_buffered, smoke_buffers[0], 0, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), 0);
	io_prep_pwrite(&iocb, job->source_buffered, smoke_buffers[0], 0, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), 0);
	io_prep_pread(&iocb, job->source_buffered, smoke_buffers[0], BLOCK, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), BLOCK);
	io_prep_pwrite(&iocb, job->source_buffered, smoke_buffers[0], BLOCK, 0);
	iocb.aio_rw_flags = RWF_DSYNC;
	CHECK_EQ(smoke_result(ctx, &iocb), BLOCK);
	return 0;
}

static inline int smoke_mistakes(io_context_t ctx, const struct smoke *job)
{
	enum { REFUSED = -100000 };
	struct iocb iocb, *list[] = { &iocb };
	struct timespec none = { 0, 0 };
	struct io_event event;
	char *page = mmap(NULL, BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int write_only = open("target", O_WRONLY), read_only = open("target", O_RDONLY);

	CHECK(page != MAP_FAILED && write_only >= 0 && read_only >= 0);
	io_prep_pread(&iocb, 9999, smoke_buffers[0], BLOCK, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EBADF);
	io_prep_pread(&iocb, write_only, smoke_buffers[0], BLOCK, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EBADF);
	io_prep_pwrite(&iocb, read_only, smoke_buffers[0], BLOCK, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EBADF);
	io_prep_fsync(&iocb, 9999);
	CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EBADF);
	io_prep_fsync(&iocb, job->pipe[1]);
	CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EINVAL);
	io_prep_poll(&iocb, 9999, POLLIN);
	CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EBADF);
	io_prep_pread(&iocb, job->source_buffered, page, BLOCK, 0);
	CHECK_EQ(smoke_result(ctx, &iocb), -EFAULT);
	if (job->event != -1) {
		io_set_eventfd(&iocb, job->source_buffered);
		CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EINVAL);
	}
	io_prep_pread(&iocb, job->source_buffered, smoke_buffers[0], BLOCK, -1);
	CHECK_EQ(smoke_result(ctx, &iocb), REFUSED - EINVAL);
	CHECK_EQ(io_submit(ctx, 1, (struct iocb **)page), -EFAULT);
	list[0] = (struct iocb *)page;
	CHECK_EQ(io_submit(ctx, 1, list), -EFAULT);
	/* The system's libaio itself would crash. */
	CHECK_EQ(syscall(SYS_io_getevents, ctx, 0, 1, &event, page), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(syscall(SYS_io_getevents, page, 0, 1, &event, &none), -1);
	CHECK_EQ(errno, EINVAL);
	io_prep_pread(&iocb, job->source_buffered, smoke_buffers[0], BLOCK, 0);
	list[0] = &iocb;
	CHECK_EQ(io_submit(ctx, 1, list), 1);
	CHECK_EQ(io_getevents(ctx, 1, 1, (struct io_event *)page, &none), -EFAULT);
	CHECK_EQ(smoke_reap(ctx, 1, BLOCK), 0);
	munmap(page, BLOCK);
	close(write_only);
	close(read_only);
	return 0;
}

/* All of it, on a context that is there. */
static inline int smoke_more_on(io_context_t ctx, const struct smoke *job)
{
	return smoke_streams(ctx) || smoke_broken_streams(ctx) || smoke_edges(ctx, job) ||
	       smoke_waits(ctx, job) || (!job->rings_stay && smoke_move(job)) || smoke_mistakes(ctx, job);
}

#endif
