/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Races of direct reads, direct writes and syncs with those who reap, cancel, fork and exit. */
#include "races.h"

#include <sys/wait.h>

static io_context_t ctx;
static uint64_t others_time;

/* A read of block index, a write of the last block, or a sync. */
static void prep_any(int index)
{
	struct iocb *iocb = &items[index].iocb;

	switch (random_below(6)) {
	case 0:
		io_prep_fdsync(iocb, direct);
		break;
	case 1:
		io_prep_pwrite(iocb, direct, blocks + (MANY - 1) * PAGE, PAGE, (MANY - 1) * PAGE);
		break;
	default:
		io_prep_pread(iocb, direct, blocks + index * PAGE, PAGE, index * PAGE);
	}
}

/* Submits `many` of them, items 0 to many - 1. */
static void submit_any(int many, bool signals)
{
	struct iocb *list[MANY];
	int got;

	for (int i = 0; i < many; i++) {
		prep_any(i);
		due(i, signals);
		list[i] = &items[i].iocb;
	}
	got = io_submit(ctx, many, list);
	if (got != many)
		wrong("io_submit: %d of %d", got, many);
}

static void check_result(int index, bool was_cancelled)
{
	const struct item *item = &items[index];
	long usual = item->iocb.aio_lio_opcode == IO_CMD_FDSYNC ? 0 : PAGE;

	if (item->res != (was_cancelled ? -ECANCELED : usual))
		wrong("res %ld, opcode %d, cancelled %d", item->res, item->iocb.aio_lio_opcode,
		      was_cancelled);
}

/* Sleeps for the event of item 0, and says when it came. */
static void reap_first(long unused)
{
	(void)unused;
	all_seen(ctx, 1);
	STORE(others_time, now_ns());
}

/* ---- Two threads that reap what comes ---- */

/* Takes one event if one comes soon; 0 if not. */
static int reap_one(void)
{
	struct io_event event;
	int got = io_getevents(ctx, 1, 1, &event, &(struct timespec){ 0, 2000000 });

	if (got == 1)
		note(&event, 1);
	else if (got)
		wrong("io_getevents: %d", got);
	return got;
}

static long left, mine, others;

static void reap_while_some_are_left(long unused)
{
	(void)unused;
	while (LOAD(left) > 0) {
		if (reap_one()) {
			ADD(left, -1);
			others++;
		}
	}
}

void direct_reap(void)
{
	const int many = 16;

	need_direct();
	start_other(reap_while_some_are_left);
	ctx = new_context(MANY);
	for (bool signals = false; goes_on(); signals = !signals) {
		uint64_t end = now_ns() + (uint64_t)patience_s * 1000000000ul;

		mine = others = 0;
		STORE(left, many);
		submit_any(many, signals);
		meet(0);
		while (LOAD(left) > 0 && now_ns() < end) {
			if (reap_one()) {
				ADD(left, -1);
				mine++;
			}
		}
		STORE(left, 0);
		part();
		/* One race for each event; who had more of them has to wait longer. */
		tally.races += many - 1;
		tally.first += mine - (mine > others);
		tally.second += others - (mine <= others);
		outcome(mine > others ? 1 : -1);
		all_seen(ctx, many);
		for (int i = 0; i < many; i++)
			check_result(i, false);
		if (signals)
			counted(many);
	}
	io_destroy(ctx);
}

/* ---- io_cancel while another thread reaps ---- */

void direct_cancel(void)
{
	need_direct();
	start_other(reap_first);
	ctx = new_context(MANY);
	while (goes_on()) {
		struct io_event unused;
		bool is_there;
		int got;

		STORE(others_time, 0);
		submit_any(1, false);
		meet(0);
		got = io_cancel(ctx, &items[0].iocb, &unused);
		is_there = LOAD(others_time) != 0;
		part();
		if (got != -EINPROGRESS && got != -EINVAL)
			wrong("io_cancel: %d", got);
		check_result(0, got == -EINPROGRESS);
		outcome(is_there ? -1 : 1);
		take(ctx);
	}
	io_destroy(ctx);
}

/* ---- fork ---- */

/* Forks; the child looks whether the context is refused to it, and ends. */
static void fork_now(long unused)
{
	int status = -1;
	pid_t child = fork();

	(void)unused;
	must(child != -1, "fork");
	if (!child) {
		struct io_event event;
		/* libaio's own function would look into the ring. */
		long got = syscall(SYS_io_getevents, ctx, 0, 1, &event, NULL);

		_exit(got == -1 && errno == EINVAL ? 0 : 1);
	}
	STORE(others_time, now_ns());
	must(waitpid(child, &status, 0) == child, "waitpid");
	if (status)
		wrong("a child was not refused its parent's context: status %x", (unsigned)status);
}

void fork_event(void)
{
	const int many = 4;

	need_direct();
	start_other(fork_now);
	ctx = new_context(MANY);
	for (bool signals = false; goes_on(); signals = !signals) {
		uint64_t reaped;

		meet(0);
		submit_any(many, signals);
		all_seen(ctx, many);
		reaped = now_ns();
		part();
		for (int i = 0; i < many; i++)
			check_result(i, false);
		if (signals)
			counted(many);
		outcome(reaped < LOAD(others_time) ? 1 : -1);
	}
	io_destroy(ctx);
}

/* ---- The end of the submitter ---- */

static struct moment linger;

static void *submit_and_exit(void *unused)
{
	submit_any(2, false);
	pause_for(linger.turns);
	STORE(others_time, now_ns());
	return unused;
}

/* The other thread of these races lives for one of them. It lingers for a tuned moment. */
void exit_event(void)
{
	need_direct();
	ctx = new_context(MANY);
	while (goes_on()) {
		pthread_t thread;
		uint64_t reaped;
		int who;

		/* So that they are due before this thread looks for them. */
		STORE(items[0].seen, 0);
		STORE(items[1].seen, 0);
		must(pthread_create(&thread, NULL, submit_and_exit, NULL) == 0, "pthread_create");
		all_seen(ctx, 2);
		reaped = now_ns();
		pthread_join(thread, NULL);
		check_result(0, false);
		check_result(1, false);
		who = reaped < LOAD(others_time) ? 1 : -1;
		tune(&linger, -who);
		if (linger.turns < 0)
			linger.turns = 0;
		count(who);
	}
	io_destroy(ctx);
}
