/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Cheap races on contexts that are used again and again: polls, slots, two threads that reap. */
#include "races.h"

static io_context_t ctx;
static int others_result;
static long others_count;

static void prep_poll(int index)
{
	io_prep_poll(&items[index].iocb, channels[index].in, POLLIN);
}

/* A round of polls, each on a pipe of its own. */
static void submit_round(bool signals)
{
	struct iocb *list[MANY];
	int got;

	for (int i = 0; i < MANY; i++) {
		prep_poll(i);
		due(i, signals);
		list[i] = &items[i].iocb;
	}
	got = io_submit(ctx, MANY, list);
	if (got != MANY)
		wrong("io_submit of polls: %d", got);
}

/* ---- io_cancel and readiness ---- */

static void make_ready_and_reap(long index)
{
	feed((int)index);
	take(ctx);
}

void poll_cancel(void)
{
	need_channels();
	start_other(make_ready_and_reap);
	ctx = new_context(MANY);
	for (bool signals = false; goes_on(); signals = !signals) {
		int cancelled[MANY];

		submit_round(signals);
		for (int i = 0; i < MANY; i++) {
			struct io_event unused;

			meet(i);
			cancelled[i] = io_cancel(ctx, &items[i].iocb, &unused);
			part();
			if (cancelled[i] != -EINPROGRESS && cancelled[i] != -EINVAL)
				wrong("io_cancel: %d", cancelled[i]);
			outcome(cancelled[i] == -EINPROGRESS ? 1 : -1);
		}
		all_seen(ctx, MANY);
		for (int i = 0; i < MANY; i++) {
			/* A cancelled poll that was ready as well may say so. */
			if (!(items[i].res & POLLIN) && (cancelled[i] == -EINVAL || items[i].res))
				wrong("poll: io_cancel gave %d, res %ld", cancelled[i], items[i].res);
			drain(i);
		}
		if (signals)
			counted(MANY);
	}
	io_destroy(ctx);
}

/* ---- Two calls of io_cancel ---- */

static void cancel_too(long index)
{
	struct io_event unused;

	others_result = io_cancel(ctx, &items[index].iocb, &unused);
}

void cancel_cancel(void)
{
	need_channels();
	start_other(cancel_too);
	ctx = new_context(MANY);
	for (bool signals = false; goes_on(); signals = !signals) {
		submit_round(signals);
		for (int i = 0; i < MANY; i++) {
			struct io_event unused;
			int got;

			meet(i);
			got = io_cancel(ctx, &items[i].iocb, &unused);
			part();
			if ((got == -EINPROGRESS) == (others_result == -EINPROGRESS))
				wrong("two calls of io_cancel: %d and %d", got, others_result);
			outcome(got == -EINPROGRESS ? 1 : -1);
		}
		all_seen(ctx, MANY);
		for (int i = 0; i < MANY; i++)
			if (items[i].res)
				wrong("res of a cancelled poll: %ld", items[i].res);
		if (signals)
			counted(MANY);
	}
	io_destroy(ctx);
}

/* ---- Two threads that take one event ---- */

static void take_one(long unused)
{
	(void)unused;
	others_count = take(ctx);
}

void reap_reap(void)
{
	need_channels();
	start_other(take_one);
	ctx = new_context(MANY);
	feed(0);
	while (goes_on()) {
		struct iocb *list[] = { &items[0].iocb };
		long got;

		/* It is ready, so that its event is there at once. */
		prep_poll(0);
		due(0, false);
		got = io_submit(ctx, 1, list);
		if (got != 1)
			wrong("io_submit of a poll that is ready: %ld", got);
		meet(0);
		got = take(ctx);
		part();
		if (got < 0 || others_count < 0)
			wrong("io_getevents: %ld and %ld", got, others_count);
		outcome(got == 1 ? 1 : others_count == 1 ? -1 : 0);
		if (!seen(0))
			all_seen(ctx, 1);
	}
	take(ctx);
	io_destroy(ctx);
}

/* ---- The last slot ---- */

static void take_first(long unused)
{
	struct io_event event;

	(void)unused;
	others_count = io_getevents(ctx, 1, 1, &event, &(struct timespec){ patience_s, 0 });
	if (event.obj != &items[0].iocb)
		wrong("an event of another iocb");
}

/*
 * A context is full of events of one iocb, submitted again and again. A slot is free when an event
 * is reaped: a submission before that is refused, one after it is accepted.
 */
void slot(void)
{
	struct iocb *list[] = { &items[0].iocb };
	struct io_event event;
	long accepted = 0, reaped = 0;

	need_channels();
	start_other(take_first);
	ctx = new_context(1);
	feed(0);
	prep_poll(0);
	while (goes_on()) {
		int got;

		while ((got = io_submit(ctx, 1, list)) == 1)
			accepted++;
		meet(0);
		got = io_submit(ctx, 1, list);
		part();
		if ((got != 1 && got != -EAGAIN) || others_count != 1)
			wrong("io_submit: %d, io_getevents: %ld", got, others_count);
		accepted += got == 1;
		reaped += others_count;
		outcome(got == 1 ? -1 : 1);
	}
	while (io_getevents(ctx, 1, 1, &event, &(struct timespec){ 0, 0 }) == 1)
		reaped++;
	if (accepted > reaped)
		tally.lost += accepted - reaped;
	else
		tally.doubled += reaped - accepted;
	io_destroy(ctx);
}

/* ---- Two sleepers, one event ---- */

static int stop;
static long won[2];

static void *sleeper(void *which)
{
	struct io_event event;

	while (!LOAD(stop)) {
		int got = io_getevents(ctx, 1, 1, &event, &(struct timespec){ patience_s, 0 });

		if (got == 1) {
			won[(long)which]++;
			note(&event, 1);
		} else if (!LOAD(stop)) {
			wrong("a sleeper: io_getevents: %d", got);
		}
	}
	return NULL;
}

/* The winner is away for a moment; the other one has been asleep for longer. Both come to it. */
void two_sleepers(void)
{
	struct iocb *list[2] = { &items[0].iocb, &items[1].iocb };
	pthread_t threads[2];

	need_channels();
	ctx = new_context(MANY);
	for (long i = 0; i < 2; i++)
		must(pthread_create(&threads[i], NULL, sleeper, (void *)i) == 0, "pthread_create");
	while (goes_on()) {
		uint64_t end = now_ns() + (uint64_t)patience_s * 1000000000ul;
		long before = won[0];
		unsigned turns = 0;

		prep_poll(0);
		due(0, false);
		if (io_submit(ctx, 1, list) != 1)
			wrong("io_submit of a poll");
		pause_for((long)random_below(2000));
		feed(0);
		while (!seen(0) && now_ns() < end)
			idle(&turns);
		if (!seen(0)) {
			tally.lost++;
			fprintf(stderr, "lost: nobody woke for submission %lu\n", items[0].number);
		}
		drain(0);
		outcome(LOAD(won[0]) != before ? 1 : -1);
	}
	/* One event for each of them, so that both see the end. */
	STORE(stop, 1);
	for (int i = 0; i < 2; i++) {
		prep_poll(i);
		due(i, false);
		feed(i);
		if (io_submit(ctx, 1, list + i) != 1)
			wrong("io_submit of a poll");
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	io_destroy(ctx);
}

/* ---- A read of a pipe that is fed ---- */

static void feed_now(long index)
{
	feed((int)index);
}

void pipe_read(void)
{
	static char bytes[MANY];

	need_channels();
	start_other(feed_now);
	ctx = new_context(MANY);
	for (bool signals = false; goes_on(); signals = !signals) {
		for (int i = 0; i < MANY; i++) {
			struct iocb *list[] = { &items[i].iocb };
			char left = 0;
			int got;

			bytes[i] = 0;
			io_prep_pread(&items[i].iocb, channels[i].in, &bytes[i], 1, 0);
			due(i, signals);
			meet(i);
			got = io_submit(ctx, 1, list);
			part();
			if (got != 1)
				wrong("io_submit of a read: %d", got);
			take(ctx);
			if (read(channels[i].in, &left, 1) == -1)
				left = 0;
			/* The byte is in one place. */
			if (items[i].res == 1 ? bytes[i] != 'x' || left : bytes[i] || left != 'x')
				wrong("read: res %ld, bytes %x and %x", items[i].res, bytes[i], left);
			if (items[i].res != 1 && items[i].res != -EAGAIN)
				wrong("read: res %ld", items[i].res);
			outcome(items[i].res == 1 ? -1 : 1);
		}
		all_seen(ctx, MANY);
		if (signals)
			counted(MANY);
	}
	io_destroy(ctx);
}

/* ---- The program takes events from the ring while others arrive ---- */

/* Takes what is there, as programs do that know the ring. Returns the number. */
static long take_from_ring(void)
{
	struct {
		unsigned id, nr, head, tail, magic, compat_features, incompat_features, length;
		struct io_event events[];
	} *ring = (void *)ctx;
	unsigned head = LOAD(ring->head), tail = LOAD(ring->tail);
	long taken = 0;

	/* Without it, says the README, events come by io_getevents. */
	if (LOAD(ring->magic) != 0xa10a10a1)
		return 0;
	for (; head != tail; head = (head + 1) % ring->nr, taken++)
		note(&ring->events[head], 1);
	STORE(ring->head, head);
	return taken;
}

void ring_take(void)
{
	need_channels();
	start_other(feed_now);
	ctx = new_context(MANY);
	while (goes_on()) {
		submit_round(true);
		for (int i = 0; i < MANY; i++) {
			long taken;

			meet(i);
			taken = take_from_ring();
			part();
			/* A little later it is there. */
			for (unsigned turns = 0; !seen(i) && turns < 6000; idle(&turns))
				take_from_ring();
			outcome(taken ? -1 : 1);
		}
		take_from_ring();
		all_seen(ctx, MANY);
		for (int i = 0; i < MANY; i++)
			drain(i);
		counted(MANY);
	}
	io_destroy(ctx);
}
