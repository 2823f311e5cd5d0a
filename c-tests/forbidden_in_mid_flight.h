/* A filter of system calls that is put up while requests are in flight and a thread sleeps in
 * io_getevents. */
#ifndef FORBIDDEN_IN_MID_FLIGHT_H
#define FORBIDDEN_IN_MID_FLIGHT_H

#include "filter.h"
#include "pending.h"

#include <sys/prctl.h>

#define READS 32
#define SYNCS 4
#define LATER 8

/* What the context has done before. */
enum past { NOTHING, WORK, WORK_WITH_EVENTFD, PASTS };

static const char *const pasts[] = { "", ", after work", ", after work with an eventfd" };

#define MAX_CALLS 9

/* Calls that are forbidden together. */
struct group {
	const char *name;
	int count;
	int calls[MAX_CALLS];
};

static io_context_t ctx;
static int direct, plain;
static char *memory;

/* For all threads of this process, for ever. */
static void forbid(const struct group *group, int error)
{
	struct sock_fprog program;
	struct filter filter;

	filter_begin(&filter);
	for (int i = 0; i < group->count; i++)
		filter_answer(&filter, group->calls[i], SECCOMP_RET_ERRNO | (unsigned)error);
	program = filter_end(&filter);
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
		die("seccomp");
}

static void submit_reads(struct iocb *iocbs, int count, int resfd)
{
	struct iocb *list[READS];

	for (int i = 0; i < count; i++) {
		io_prep_pread(&iocbs[i], direct, memory + i * PAGE, PAGE, i * (long)PAGE);
		if (resfd != -1)
			io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, count, list) == count);
}

static void submit_syncs(struct iocb *iocbs, int count)
{
	struct iocb *list[SYNCS];

	for (int i = 0; i < count; i++) {
		if (i % 2)
			io_prep_fdsync(&iocbs[i], plain);
		else
			io_prep_fsync(&iocbs[i], plain);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, count, list) == count);
}

static void reap_good(int count, const char *what)
{
	struct io_event events[READS];
	int good = 0;

	expect(reap(ctx, count, READS, events), count, "%s", what);
	for (int i = 0; i < count; i++)
		good += events[i].obj->aio_lio_opcode == IO_CMD_PREAD ?
				event_res(&events[i]) == (long)PAGE :
				event_res(&events[i]) == 0;
	expect(good, count, "%s, good ones", what);
}

static void work(void)
{
	struct iocb iocbs[READS];

	submit_reads(iocbs, READS, -1);
	reap_good(READS, "reads");
	submit_syncs(iocbs, SYNCS);
	reap_good(SYNCS, "syncs");
}

/* What needs somebody in the background. */
static void work_with_eventfd(void)
{
	struct iocb iocbs[READS], poll;
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct channel channel = new_pipe();

	submit_reads(iocbs, READS, resfd);
	expect(take_counts(resfd, READS), READS, "count");
	reap_good(READS, "reads with an eventfd");
	submit_poll(ctx, &poll, channel.in, POLLIN);
	feed(channel.out);
	expect(reap_event_of(ctx, &poll) & POLLIN, POLLIN, "poll");
	close_channel(channel);
	close(resfd);
}

static struct waiter waiter;
static struct io_event room[READS + SYNCS + LATER + 1];

static void *wait_for_all(void *argument)
{
	struct timespec timeout = { 10, 0 };

	(void)argument;
	__atomic_store_n(&waiter.tid, own_tid(), __ATOMIC_RELEASE);
	waiter.got = io_getevents(ctx, COUNT(room), COUNT(room), room, &timeout);
	return NULL;
}

static void run(const struct group *group, int error, enum past past)
{
	struct iocb reads[READS], syncs[SYNCS], later[LATER], poll;
	struct channel channel = new_pipe();
	int good = 0, tid;

	direct = scratch_direct("direct", READS * PAGE, 'd');
	plain = scratch_filled("plain", 0, PAGE, 'p');
	memory = pages(READS, PROT_READ | PROT_WRITE);
	ctx = new_context(64);
	if (past != NOTHING)
		work();
	if (past == WORK_WITH_EVENTFD)
		work_with_eventfd();
	submit_poll(ctx, &poll, channel.in, POLLIN);
	if (past != WORK_WITH_EVENTFD) {
		waiter.thread = start(wait_for_all, NULL);
		EVENTUALLY((tid = __atomic_load_n(&waiter.tid, __ATOMIC_ACQUIRE)) &&
			   is_asleep(tid));
	} else {
		/* The context may be the kernel's own: who sleeps in it, or a poll that is pending,
		 * keeps it there. */
		feed(channel.out);
	}

	submit_syncs(syncs, SYNCS);
	submit_reads(reads, READS, -1);
	forbid(group, error);
	submit_reads(later, LATER, -1);
	if (past != WORK_WITH_EVENTFD)
		feed(channel.out);
	else
		waiter.thread = start(wait_for_all, NULL);
	join(waiter.thread);
	expect(waiter.got, COUNT(room), "events of the sleeper");
	for (int i = 0; i < waiter.got; i++) {
		const struct iocb *iocb = room[i].obj;

		good += iocb == &poll ? (event_res(&room[i]) & POLLIN) == POLLIN :
			iocb->aio_lio_opcode == IO_CMD_PREAD ? event_res(&room[i]) == (long)PAGE :
							       event_res(&room[i]) == 0;
	}
	expect(good, COUNT(room), "good ones");
	CHECK(filled_with(memory, 'd', READS * PAGE));

	work();
	work_with_eventfd();
	expect(events_there(ctx), 0, "more events");
	end_context(ctx);
	ctx = new_context(64);
	work_with_eventfd();
	work();
	end_context(ctx);
}

/* Each group with each error and each past, in a process of its own. */
static inline int run_groups(const struct group *groups, int count)
{
	static const int errors[] = { EPERM, ENOSYS };
	int status;

	for (int i = 0; i < PASTS * 2 * count; i++) {
		int error = errors[i % 2], past = i / (2 * count);
		const struct group *group = &groups[i / 2 % count];
		pid_t child;

		fact("%s: %s%s", group->name, code(-error), pasts[past]);
		child = MUST(fork());
		if (child == 0) {
			run(group, error, (enum past)past);
			_exit(finish());
		}
		MUST(waitpid(child, &status, 0));
		CHECK(status == 0);
	}
	return finish();
}

#endif
