/* Description: one io_getevents, or two at the same time, wait for direct reads and polls together,
 * whichever come first, and whether the sleep began with the polls alone or not; at once also if the
 * read takes long. The same where io_cancel is forbidden, and polls are better left to others. */
#include "filter.h"
#include "pending.h"

#include <sys/prctl.h>

#define READS 8
#define POLLS 4
#define ALL (READS + POLLS)
#define ROUNDS 100
#define SLOW_ROUNDS 20
#define LARGE (8ul << 20)

enum order { READS_FIRST, READS_LAST, READS_TO_SLEEPERS, ORDERS };

static const char *const orders[] = { "reads first", "reads last", "reads come to sleepers" };

static io_context_t ctx;
static int file;
static char *memory;
static struct channel channels[POLLS];
static struct iocb reads[READS], polls[POLLS];

static void submit_reads(void)
{
	struct iocb *list[READS];

	for (int i = 0; i < READS; i++) {
		io_prep_pread(&reads[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		reads[i].data = (char *)&reads[i] + 1;
		list[i] = &reads[i];
	}
	CHECK(io_submit(ctx, READS, list) == READS);
}

static void submit_polls(void)
{
	for (int i = 0; i < POLLS; i++)
		submit_poll(ctx, &polls[i], channels[i].in, POLLIN);
}

static void feed_polls(void)
{
	for (int i = 0; i < POLLS; i++)
		feed(channels[i].out);
}

/* How many events are wrong; each iocb is counted in `seen`. */
static int wrong_ones(const struct io_event *events, int count, int *seen)
{
	int wrong = 0;

	for (int i = 0; i < count; i++) {
		bool is_read = events[i].obj >= reads && events[i].obj < reads + READS;

		wrong += !event_is_for(&events[i], events[i].obj);
		wrong += is_read ? event_res(&events[i]) != (long)PAGE :
				   !(event_res(&events[i]) & POLLIN);
		seen[is_read ? events[i].obj - reads : READS + (events[i].obj - polls)]++;
	}
	return wrong;
}

static void run(int waiters, enum order order)
{
	int wrong = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct timespec timeout = { 10, 0 };
		struct waiter sleepers[2];
		int seen[ALL] = { 0 };

		if (order == READS_FIRST)
			submit_reads();
		submit_polls();
		for (int i = 0; i < waiters; i++) {
			sleepers[i] = (struct waiter){ .ctx = ctx, .timeout = &timeout };
			sleepers[i].min_nr = sleepers[i].nr = ALL / waiters;
			if (order == READS_TO_SLEEPERS)
				start_waiter(&sleepers[i]);
			else
				sleepers[i].thread = start(waiter_body, &sleepers[i]);
		}
		if (order == READS_TO_SLEEPERS)
			submit_reads();
		feed_polls();
		if (order == READS_LAST)
			submit_reads();
		for (int i = 0; i < waiters; i++) {
			int got = end_waiter(&sleepers[i]);

			wrong += got != ALL / waiters;
			wrong += wrong_ones(sleepers[i].events, got, seen);
		}
		for (int i = 0; i < ALL; i++)
			wrong += seen[i] != 1;
		for (int i = 0; i < POLLS; i++)
			empty_out(channels[i].in);
	}
	expect(wrong, 0, "%d waiting, %s: wrong", waiters, orders[order]);
	expect(events_there(ctx), 0, "more events");
}

/* A slow read, while which the polls become ready one after the other. */
static void run_slow(void)
{
	int wrong = 0, late = 0;

	for (int round = 0; round < SLOW_ROUNDS; round++) {
		struct waiter sleeper = { .ctx = ctx, .min_nr = POLLS + 1, .nr = POLLS + 1 };
		int seen[ALL] = { 0 };

		submit_polls();
		io_prep_pread(&reads[0], file, memory, LARGE, 0);
		submit_accepted(ctx, &reads[0]);
		start_waiter(&sleeper);
		feed_polls();
		wrong += end_waiter(&sleeper) != POLLS + 1;
		late += sleeper.took_ms > 500;
		for (int i = 0; i < sleeper.got; i++)
			if (sleeper.events[i].obj == &reads[0] && event_res(&sleeper.events[i]) == (long)LARGE)
				sleeper.events[i].res = PAGE;
		wrong += wrong_ones(sleeper.events, sleeper.got, seen);
		for (int i = 0; i < POLLS; i++)
			empty_out(channels[i].in);
	}
	expect(wrong, 0, "beside a slow read: wrong");
	CHECK(late < SLOW_ROUNDS / 2);
}

static void run_all(void)
{
	ctx = new_context(64);
	for (int order = 0; order < ORDERS; order++) {
		run(1, (enum order)order);
		run(2, (enum order)order);
	}
	run_slow();
	end_context(ctx);
}

/* For ever. */
static void forbid_io_cancel(void)
{
	struct sock_fprog program;
	struct filter filter;

	filter_begin(&filter);
	filter_answer(&filter, SYS_io_cancel, SECCOMP_RET_ERRNO | EPERM);
	program = filter_end(&filter);
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

int main(void)
{
	file = scratch_direct("file", LARGE, 'f');
	memory = pages(LARGE / PAGE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < POLLS; i++)
		channels[i] = new_pipe();
	run_all();
	forbid_io_cancel();
	fact("io_cancel is forbidden");
	run_all();
	return finish();
}
