/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the parts of faults.c share: the plan, and operations with what must become of them. */
#ifndef FAULTS_H
#define FAULTS_H

#include "hostile.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* src/sys/faults.rs has the same. */
struct plan {
	int64_t call;
	uint32_t nth;
	int32_t error;
	uint32_t seen;
	uint32_t injected;
};

/* MOST: operations that are submitted together; more than the first instance of kernel AIO holds. */
enum { THREAD = -1, SHORT = 0, MOST = 160 };

static struct plan *plan;

/* One iocb, and what its event may say. */
struct operation {
	struct iocb iocb;
	long wanted;
	/* Events that are due, and those that came. */
	int accepted;
	int completed;
	/* Times that it was refused. */
	int refused;
	int has_eventfd;
};

static inline int was_injected(void)
{
	return __atomic_load_n(&plan->injected, __ATOMIC_RELAXED) != 0;
}

/* Calls whose error is the operation's result. */
static inline int is_transfer(void)
{
	static const long transfers[] = { SYS_preadv2, SYS_pwritev2, SYS_pread64, SYS_pwrite64,
					  SYS_read,    SYS_write,    SYS_sendto,  SYS_fsync,
					  SYS_fdatasync };

	for (size_t i = 0; i < sizeof(transfers) / sizeof(transfers[0]); i++)
		if (plan->call == transfers[i])
			return 1;
	return 0;
}

/* Whether a result is the right one, or one that kernel AIO could give for the planned fault. */
static inline int is_plausible(const struct operation *operation, long result)
{
	if (operation->iocb.aio_lio_opcode == IO_CMD_POLL)
		return (result & operation->wanted) == operation->wanted;
	if (result == operation->wanted)
		return 1;
	if (!was_injected() || !is_transfer())
		return 0;
	return plan->error == SHORT ? result >= 0 && result < operation->wanted :
				      result == -plan->error;
}

/* fs/aio.c, io_submit: no request, or no memory for its vectors. */
static inline int is_plausible_refusal(int error)
{
	/* epoll_ctl says so of files that are not waited for. */
	int is_unpollable = plan->call == SYS_epoll_ctl && plan->error == EPERM;

	return was_injected() &&
	       (error == -EAGAIN || error == -ENOMEM || (error == -EINVAL && is_unpollable) ||
		(plan->call == SYS_io_submit && error == -plan->error));
}

/*
 * Whether io_getevents has answered what was planned. Signals end it; and in a context that is the
 * kernel's own the answers are the kernel's, as io_submit's are.
 */
static inline int is_passed_on(int answer)
{
	int is_its_own = plan->call == SYS_io_getevents || plan->call == SYS_io_pgetevents;

	return was_injected() && answer < 0 && answer == -plan->error &&
	       (answer == -EINTR || is_its_own);
}

static inline int is_finished(const struct operation *operations, int count)
{
	for (int i = 0; i < count; i++)
		if (operations[i].completed != operations[i].accepted)
			return 0;
	return 1;
}

/* Takes one event to its operation. */
static inline int complete(const struct io_event *event)
{
	struct operation *operation = event->data;

	CHECK(event->obj == &operation->iocb);
	operation->completed++;
	CHECK_EQ(operation->completed, operation->accepted);
	CHECK_EQ(event->res2, 0);
	if (!is_plausible(operation, (long)event->res)) {
		dprintf(2, "opcode %d: result %ld, not %ld\n", operation->iocb.aio_lio_opcode,
			(long)event->res, operation->wanted);
		return 1;
	}
	return 0;
}

/* Submits all of them. A fault is over when it has happened: what is refused is submitted again. */
static inline int submit_all(io_context_t ctx, struct operation *operations, int count)
{
	struct iocb *list[MOST];
	int done = 0, refusals = 0;

	for (int i = 0; i < count; i++) {
		operations[i].iocb.data = &operations[i];
		list[i] = &operations[i].iocb;
	}
	while (done < count) {
		/* An event may come before the call returns. */
		int n = io_submit(ctx, count - done, list + done);

		if (n > 0) {
			CHECK(n <= count - done);
			for (int i = 0; i < n; i++)
				operations[done + i].accepted++;
			done += n;
			continue;
		}
		if (!is_plausible_refusal(n) || ++refusals > 3) {
			dprintf(2, "io_submit at %d, opcode %d: %d\n", done,
				operations[done].iocb.aio_lio_opcode, n);
			return 1;
		}
	}
	return 0;
}

/* Reaps until all are complete. */
static inline int reap_all(io_context_t ctx, const struct operation *operations, int count)
{
	struct timespec limit = { 10, 0 };
	struct io_event events[BATCH];

	while (!is_finished(operations, count)) {
		int n = io_getevents(ctx, 1, BATCH, events, &limit);

		if (is_passed_on(n))
			continue;
		if (n <= 0)
			CHECK_EQ(n, 1);
		for (int i = 0; i < n; i++)
			if (complete(&events[i]))
				return 1;
	}
	int more = io_getevents(ctx, 0, BATCH, events, NULL);

	CHECK_EQ(is_passed_on(more) ? 0 : more, 0);
	return 0;
}

static inline int run_all(io_context_t ctx, struct operation *operations, int count)
{
	return submit_all(ctx, operations, count) || reap_all(ctx, operations, count);
}

/* The eventfd must come to `count`, and no further. */
static inline int counted(int event, uint64_t count)
{
	struct pollfd readable = { event, POLLIN, 0 };
	uint64_t sum = 0, some;

	while (sum < count && poll(&readable, 1, 3000) > 0)
		if (read(event, &some, sizeof(some)) == sizeof(some))
			sum += some;
	if (read(event, &some, sizeof(some)) == sizeof(some))
		sum += some;
	CHECK_EQ(sum, count);
	return 0;
}

#endif
