/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One small job that uses everything: copies a file, syncs it, polls, cancels, has an eventfd
 * signalled. smoke_prepare() opens all files, so that smoke_run() needs none and can run where no
 * more can be had.
 */
#ifndef SMOKE_H
#define SMOKE_H

#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOCK = 4096, BATCH = 8, BLOCKS = 16, SMOKE_SIZE = BLOCK * BLOCKS };

/* What a process without free descriptors, or without a second thread, may be refused. */
enum smoke_refusal { NO_REFUSAL, SIGNALLED_POLLS_REFUSED, POLLS_REFUSED };

struct smoke {
	int source;
	int target;
	/* source and target again, without O_DIRECT. */
	int source_buffered;
	int target_buffered;
	int pipe[2];
	/* An eventfd; -1: it is done without. */
	int event;
	/* divergence: what the kernel's AIO has is not cancelled without io_cancel. */
	int cancels_may_fail;
	/* No ring is moved: where there is no memory for it, the library may not find it. */
	int rings_stay;
	/*
	 * divergence: a poll costs the library a descriptor, and a poll that signals an eventfd
	 * costs it a thread. Where there is none, io_submit() fails with -EAGAIN. What it accepts
	 * must be done.
	 */
	enum smoke_refusal may_be_refused;
};

/* Tells what is wrong, and where. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(2, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);         \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/* The same for a call's answer, which it shows. */
#define CHECK_EQ(found, expected)                                                                  \
	do {                                                                                       \
		long found_ = (long)(found), expected_ = (long)(expected);                         \
		if (found_ != expected_) {                                                         \
			dprintf(2, "%s:%d: %s is %ld, not %ld\n", __FILE__, __LINE__, #found,      \
				found_, expected_);                                                \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static char smoke_buffers[BATCH][BLOCK] __attribute__((aligned(BLOCK)));

/* Opens a file with O_DIRECT where the file system has it. */
static inline int smoke_open_direct(const char *path)
{
	int fd = open(path, O_RDWR | O_DIRECT);

	return fd >= 0 ? fd : open(path, O_RDWR);
}

/* Makes the files in the current directory. */
static inline int smoke_prepare(struct smoke *job)
{
	static char pattern[SMOKE_SIZE];

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 2654435761u >> 13);
	job->source_buffered = open("source", O_RDWR | O_CREAT | O_TRUNC, 0666);
	CHECK(job->source_buffered >= 0);
	CHECK_EQ(write(job->source_buffered, pattern, sizeof(pattern)), sizeof(pattern));
	CHECK_EQ(fsync(job->source_buffered), 0);
	job->target_buffered = open("target", O_RDWR | O_CREAT | O_TRUNC, 0666);
	CHECK(job->target_buffered >= 0);
	/* Blocks on the disk, to be overwritten: O_DIRECT is asynchronous only there. */
	memset(pattern, 0, sizeof(pattern));
	CHECK_EQ(write(job->target_buffered, pattern, sizeof(pattern)), sizeof(pattern));
	CHECK_EQ(fsync(job->target_buffered), 0);
	job->source = smoke_open_direct("source");
	job->target = smoke_open_direct("target");
	CHECK(job->source >= 0 && job->target >= 0);
	CHECK_EQ(pipe(job->pipe), 0);
	job->event = eventfd(0, EFD_NONBLOCK);
	CHECK(job->event >= 0);
	job->rings_stay = 0;
	job->may_be_refused = NO_REFUSAL;
	return 0;
}

/* Waits for `count` events, all of which must have the result `res`. */
static inline int smoke_reap(io_context_t ctx, int count, long res)
{
	struct io_event events[BATCH];
	int got = 0;

	while (got < count) {
		int n = io_getevents(ctx, 1, count - got, events, NULL);

		if (n == -EINTR)
			continue;
		CHECK(n > 0 && n <= count - got);
		for (int i = 0; i < n; i++) {
			CHECK_EQ(events[i].res, res);
			CHECK_EQ(events[i].res2, 0);
		}
		got += n;
	}
	return 0;
}

static inline int smoke_submit(io_context_t ctx, struct iocb *iocbs, int count)
{
	struct iocb *list[BATCH];

	for (int i = 0; i < count; i++)
		list[i] = &iocbs[i];
	CHECK_EQ(io_submit(ctx, count, list), count);
	return 0;
}

/* Submits a poll. Returns 0; -EAGAIN where it may be refused and was; 1 when it failed. */
static inline int smoke_submit_poll(io_context_t ctx, const struct smoke *job, struct iocb *poll,
				    enum smoke_refusal refusal)
{
	int submitted = io_submit(ctx, 1, &poll);

	if (submitted == -EAGAIN && job->may_be_refused >= refusal)
		return -EAGAIN;
	CHECK_EQ(submitted, 1);
	return 0;
}

static inline int smoke_copy(io_context_t ctx, int from, int to)
{
	struct iocb iocbs[BATCH];

	for (int block = 0; block < BLOCKS; block += BATCH) {
		for (int i = 0; i < BATCH; i++)
			io_prep_pread(&iocbs[i], from, smoke_buffers[i], BLOCK,
				      (long long)(block + i) * BLOCK);
		if (smoke_submit(ctx, iocbs, BATCH) || smoke_reap(ctx, BATCH, BLOCK))
			return 1;
		for (int i = 0; i < BATCH; i++)
			io_prep_pwrite(&iocbs[i], to, smoke_buffers[i], BLOCK,
				       (long long)(block + i) * BLOCK);
		if (smoke_submit(ctx, iocbs, BATCH) || smoke_reap(ctx, BATCH, BLOCK))
			return 1;
	}
	io_prep_fsync(&iocbs[0], to);
	io_prep_fdsync(&iocbs[1], to);
	return smoke_submit(ctx, iocbs, 2) || smoke_reap(ctx, 2, 0);
}

/* The same bytes in both files? */
static inline int smoke_compare(int one, int other)
{
	for (long long at = 0; at < SMOKE_SIZE; at += BLOCK) {
		CHECK_EQ(pread(one, smoke_buffers[0], BLOCK, at), BLOCK);
		CHECK_EQ(pread(other, smoke_buffers[1], BLOCK, at), BLOCK);
		CHECK(!memcmp(smoke_buffers[0], smoke_buffers[1], BLOCK));
	}
	return 0;
}

static inline int smoke_vectors(io_context_t ctx, const struct smoke *job)
{
	struct iovec halves[2] = { { smoke_buffers[0], BLOCK / 2 },
				   { smoke_buffers[1], BLOCK / 2 } };
	struct iocb iocb;

	io_prep_preadv(&iocb, job->source_buffered, halves, 2, 0);
	if (smoke_submit(ctx, &iocb, 1) || smoke_reap(ctx, 1, BLOCK))
		return 1;
	io_prep_pwritev(&iocb, job->target_buffered, halves, 2, 0);
	return smoke_submit(ctx, &iocb, 1) || smoke_reap(ctx, 1, BLOCK);
}

static inline int smoke_poll(io_context_t ctx, const struct smoke *job)
{
	struct timespec none = { 0, 0 };
	struct io_event event;
	struct iocb iocb;
	char byte = 'x';
	int n;

	io_prep_poll(&iocb, job->pipe[0], POLLIN);
	iocb.data = &byte;
	n = smoke_submit_poll(ctx, job, &iocb, POLLS_REFUSED);
	if (n)
		return n != -EAGAIN;
	CHECK_EQ(io_getevents(ctx, 0, 1, &event, &none), 0);
	CHECK_EQ(write(job->pipe[1], &byte, 1), 1);
	while ((n = io_getevents(ctx, 1, 1, &event, NULL)) == -EINTR)
		;
	CHECK_EQ(n, 1);
	CHECK(event.data == &byte && event.obj == &iocb);
	CHECK((long)event.res > 0 && (event.res & POLLIN));
	CHECK_EQ(read(job->pipe[0], &byte, 1), 1);
	return 0;
}

static inline int smoke_cancel(io_context_t ctx, const struct smoke *job)
{
	struct io_event event;
	struct iocb iocb;
	int n;

	io_prep_poll(&iocb, job->pipe[0], POLLIN);
	n = smoke_submit_poll(ctx, job, &iocb, POLLS_REFUSED);
	if (n)
		return n != -EAGAIN;
	n = io_cancel(ctx, &iocb, &event);
	if (n == -EINVAL && job->cancels_may_fail) {
		CHECK_EQ(write(job->pipe[1], "x", 1), 1);
		while ((n = io_getevents(ctx, 1, 1, &event, NULL)) == -EINTR)
			;
		CHECK_EQ(n, 1);
		CHECK_EQ(read(job->pipe[0], &event, 1), 1);
		return 0;
	}
	CHECK_EQ(n, -EINPROGRESS);
	CHECK_EQ(io_cancel(ctx, &iocb, &event), -EINVAL);
	return smoke_reap(ctx, 1, 0);
}

/* Waits until the eventfd can be read, without a call to the library: it must count 1. */
static inline int smoke_signalled(const struct smoke *job)
{
	struct pollfd readable = { job->event, POLLIN, 0 };
	uint64_t count;
	int n;

	while ((n = poll(&readable, 1, 10000)) < 0 && errno == EINTR)
		;
	CHECK_EQ(n, 1);
	CHECK_EQ(read(job->event, &count, sizeof(count)), sizeof(count));
	CHECK_EQ(count, 1);
	return 0;
}

static inline int smoke_eventfd(io_context_t ctx, const struct smoke *job)
{
	struct timespec none = { 0, 0 };
	struct io_event event;
	struct iocb iocbs[2];
	char byte = 'x';
	int n;

	if (job->event == -1)
		return 0;
	io_prep_pread(&iocbs[0], job->source, smoke_buffers[0], BLOCK, 0);
	io_prep_poll(&iocbs[1], job->pipe[0], POLLIN);
	io_set_eventfd(&iocbs[0], job->event);
	io_set_eventfd(&iocbs[1], job->event);
	if (smoke_submit(ctx, &iocbs[0], 1) || smoke_signalled(job) || smoke_reap(ctx, 1, BLOCK))
		return 1;
	n = smoke_submit_poll(ctx, job, &iocbs[1], SIGNALLED_POLLS_REFUSED);
	if (n)
		return n != -EAGAIN;
	CHECK_EQ(write(job->pipe[1], &byte, 1), 1);
	if (smoke_signalled(job))
		return 1;
	/* The event is there before the signal. */
	while ((n = io_getevents(ctx, 0, 1, &event, &none)) == -EINTR)
		;
	CHECK_EQ(n, 1);
	CHECK(event.obj == &iocbs[1] && (event.res & POLLIN));
	CHECK_EQ(read(job->pipe[0], &byte, 1), 1);
	return 0;
}

/* All of it, on a context that is there. */
static inline int smoke_on(io_context_t ctx, const struct smoke *job)
{
	static char zeros[SMOKE_SIZE];

	CHECK_EQ(pwrite(job->target_buffered, zeros, sizeof(zeros), 0), sizeof(zeros));
	CHECK_EQ(fsync(job->target_buffered), 0);
	return smoke_copy(ctx, job->source, job->target) ||
	       smoke_compare(job->source_buffered, job->target_buffered) ||
	       smoke_copy(ctx, job->target_buffered, job->source_buffered) ||
	       smoke_vectors(ctx, job) || smoke_poll(ctx, job) || smoke_cancel(ctx, job) ||
	       smoke_eventfd(ctx, job) ||
	       smoke_compare(job->source_buffered, job->target_buffered);
}

/* All of it, from io_setup to io_destroy. */
static inline int smoke_run(const struct smoke *job)
{
	io_context_t ctx = 0;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	if (smoke_on(ctx, job))
		return 1;
	CHECK_EQ(io_destroy(ctx), 0);
	CHECK_EQ(io_destroy(ctx), -EINVAL);
	return 0;
}

#endif
