/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Races with io_destroy and with signals. Contexts live for one race each. What was accepted must
 * have signalled the eventfd when io_destroy returns, whether its event was reaped or dropped.
 *
 * Other threads call by syscall(): libaio's io_getevents looks into the ring, which may be gone.
 */
#include "races.h"

#include <signal.h>

static io_context_t ctx;
static long others_result;
static pthread_t main_thread;

static void destroy(void)
{
	int got = io_destroy(ctx);

	if (got)
		wrong("io_destroy: %d", got);
}

/* The count of the eventfd, which must not grow any more. */
static void counted_now(long count)
{
	uint64_t value = 0;

	if (read(counter, &value, sizeof(value)) != sizeof(value))
		value = 0;
	if ((long)value != count)
		wrong("the eventfd had %lu when io_destroy returned, not %ld", (unsigned long)value,
		      count);
}

/* ---- io_destroy and a poll that becomes ready ---- */

static void make_ready_and_reap(long unused)
{
	struct io_event event;
	struct timespec moment = { 0, 1 };

	(void)unused;
	feed(0);
	others_result = syscall(SYS_io_getevents, ctx, 1, 1, &event, &moment);
	if (others_result == 1)
		note(&event, 1);
	else if (others_result != 0 && !(others_result == -1 && errno == EINVAL))
		wrong("io_getevents on a context that is destroyed: %ld, %s", others_result,
		      strerror(errno));
}

void destroy_poll(void)
{
	const int many = 4;

	need_channels();
	start_other(make_ready_and_reap);
	while (goes_on()) {
		struct iocb *list[MANY];
		int total = 0;

		ctx = new_context(MANY);
		for (int i = 0; i < many; i++) {
			io_prep_poll(&items[i].iocb, channels[i].in, POLLIN);
			due(i, true);
			list[i] = &items[i].iocb;
		}
		if (io_submit(ctx, many, list) != many)
			wrong("io_submit of polls");
		meet(0);
		destroy();
		counted_now(many);
		part();
		for (int i = 0; i < many; i++)
			total += seen(i);
		if (total != (others_result == 1))
			wrong("%d events, io_getevents gave %ld", total, others_result);
		outcome(others_result == 1 ? -1 : 1);
		drain(0);
		counted(0);
	}
}

/* ---- io_destroy and direct reads ---- */

/* No thread races here: the device does. */
void destroy_direct(void)
{
	static struct moment wait;
	const int many = 4;

	need_direct();
	while (goes_on()) {
		struct iocb *list[MANY];
		uint64_t before = 0;
		struct pollfd readable = { counter, POLLIN, 0 };

		ctx = new_context(MANY);
		memset(blocks, 'x', (size_t)(many * PAGE));
		for (int i = 0; i < many; i++) {
			io_prep_pread(&items[i].iocb, direct, blocks + i * PAGE, PAGE, i * PAGE);
			due(i, true);
			list[i] = &items[i].iocb;
		}
		if (io_submit(ctx, many, list) != many)
			wrong("io_submit of reads");
		pause_for(wait.turns);
		/* How many are complete. */
		if (poll(&readable, 1, 0) == 1 && read(counter, &before, sizeof(before)) != 8)
			wrong("read of the eventfd");
		destroy();
		counted_now(many - (long)before);
		/* The data has landed, and the buffers are the program's again. */
		for (long i = 0; i < many * PAGE; i++)
			if (blocks[i] != 'd') {
				wrong("a read had not ended when io_destroy returned");
				break;
			}
		memset(blocks, 'y', (size_t)(many * PAGE));
		pause_for((long)random_below(5000));
		for (long i = 0; i < many * PAGE; i++)
			if (blocks[i] != 'y') {
				wrong("a buffer was written into after io_destroy");
				break;
			}
		counted(0);
		count((long)before == many ? -1 : 1);
		tune(&wait, (long)before == many ? -1 : 1);
		if (wait.turns < 0)
			wait.turns = 0;
	}
}

/* ---- io_destroy and io_submit ---- */

static void submit_one(long unused)
{
	struct iocb *list[] = { &items[0].iocb };

	(void)unused;
	others_result = io_submit(ctx, 1, list);
	if (others_result != 1 && others_result != -EINVAL)
		wrong("io_submit to a context that is destroyed: %ld", others_result);
}

void destroy_submit(void)
{
	need_channels();
	start_other(submit_one);
	for (bool is_ready = false; goes_on(); is_ready = !is_ready) {
		ctx = new_context(MANY);
		if (is_ready)
			feed(0);
		io_prep_poll(&items[0].iocb, channels[0].in, POLLIN);
		due(0, true);
		meet(0);
		destroy();
		part();
		counted_now(others_result == 1);
		outcome(others_result == 1 ? -1 : 1);
		drain(0);
		counted(0);
	}
}

/* ---- A handler and an event ---- */

static long handled;

static void handler(int unused)
{
	(void)unused;
	handled++;
}

/* From the signal to the event; if negative, from the event to the signal. */
static struct moment gap;
static int is_about_to_sleep;

static void interrupt_and_feed(long unused)
{
	unsigned turns = 0;

	(void)unused;
	/* The main thread is to sleep by then; if it does not, that is one of the outcomes. */
	while (!LOAD(is_about_to_sleep))
		idle(&turns);
	pause_for(400);
	if (gap.turns < 0) {
		feed(0);
		pause_for(-gap.turns);
	}
	pthread_kill(main_thread, SIGUSR1);
	if (gap.turns >= 0) {
		pause_for(gap.turns);
		feed(0);
	}
}

void signal_event(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	need_channels();
	main_thread = pthread_self();
	must(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
	start_other(interrupt_and_feed);
	ctx = new_context(MANY);
	while (goes_on()) {
		struct iocb *list[] = { &items[0].iocb };
		struct io_event event;
		struct timespec timeout = { patience_s, 0 };
		long before = handled;
		int got, who;

		io_prep_poll(&items[0].iocb, channels[0].in, POLLIN);
		due(0, false);
		if (io_submit(ctx, 1, list) != 1)
			wrong("io_submit of a poll");
		meet(0);
		STORE(is_about_to_sleep, 1);
		got = io_getevents(ctx, 1, 1, &event, &timeout);
		if (got == 1)
			note(&event, 1);
		else if (got != -EINTR)
			wrong("io_getevents under a signal: %d", got);
		part();
		STORE(is_about_to_sleep, 0);
		if (handled != before + 1)
			wrong("the handler ran %ld times", handled - before);
		all_seen(ctx, 1);
		drain(0);
		who = got == -EINTR ? 1 : -1;
		/* A wider gap lets the handler win. */
		tune(&gap, -who);
		count(who);
	}
	io_destroy(ctx);
}
