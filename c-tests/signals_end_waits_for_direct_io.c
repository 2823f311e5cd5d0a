/* Description: a handler that runs while io_getevents sleeps for direct reads, of which some are done,
 * ends the wait with their number, with -EINTR if there are none; the others come later. */
#include "pending.h"

#include <sys/time.h>

#define SMALL 3
#define MEDIUM (1ul << 20)
#define ROUNDS 60
#define LARGE (4ul << 20)

static io_context_t ctx;
static int file;
static char *memory;

/* `smalls` reads that take a while, and one that takes longer. */
static void submit_reads(struct iocb *iocbs, int smalls)
{
	struct iocb *list[SMALL + 1];

	io_prep_pread(&iocbs[smalls], file, memory, LARGE, 0);
	for (int i = 0; i < smalls; i++)
		io_prep_pread(&iocbs[i], file, memory + LARGE + i * MEDIUM, MEDIUM, i * (long)MEDIUM);
	for (int i = 0; i <= smalls; i++)
		list[i] = &iocbs[i];
	CHECK(io_submit(ctx, smalls + 1, list) == smalls + 1);
}

static int wait_for(long count, struct io_event *events, bool has_mask)
{
	struct timespec timeout = { 10, 0 };
	sigset_t mask;

	if (!has_mask)
		return io_getevents(ctx, count, count, events, &timeout);
	sigemptyset(&mask);
	return io_pgetevents(ctx, count, count, events, &timeout, &mask);
}

/* divergence: io_uring_enter does not tell of a signal if there are completions, and the wait goes on. */
static bool is_on_uring(void)
{
	const char *on = getenv("C_TEST_ON");

	return !strcmp(on, "uaio-uring") || !strcmp(on, "uaio-always");
}

static void run(int smalls, bool has_mask)
{
	int wrong = 0, early = 0, partial = 0;
	long delay = 100;
	/* On a busy machine all may be done at once for long. */
	bool wants_partial = smalls && !is_on_uring();
	int last = ROUNDS;

	for (int round = 0; round < last; round++) {
		struct itimerval once = { { 0, 0 }, { 0, delay } };
		struct io_event events[SMALL + 1];
		struct iocb iocbs[SMALL + 1];
		sig_atomic_t before = signals_seen[SIGALRM];
		int all = smalls + 1, got = 0, first;

		submit_reads(iocbs, smalls);
		MUST(setitimer(ITIMER_REAL, &once, NULL));
		first = wait_for(all, events, has_mask);
		wrong += first == 0 || first < -EINTR || (first < 0 && first != -EINTR);
		/* Only a handler has ended it early, and it is the number of those that were done. */
		wrong += first != all && signals_seen[SIGALRM] == before;
		early += first != all;
		partial += first > 0 && first != all;
		/* Again and again from before the first one is done to after the last one. */
		delay = first == all ? 100 : delay + delay / 4;
		MUST(setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL));
		for (got = first > 0 ? first : 0; got < all;) {
			int more = reap(ctx, all - got, all - got, events + got);

			if (more == -EINTR)
				continue;
			CHECK(more > 0);
			if (more <= 0)
				break;
			got += more;
		}
		for (int i = 0; i < got; i++)
			wrong += event_res(&events[i]) !=
				 (events[i].obj == &iocbs[smalls] ? (long)LARGE : (long)MEDIUM);
		if (round == last - 1 && wants_partial && !partial && last < 10 * ROUNDS)
			last += ROUNDS;
	}
	expect(wrong, 0, "%d beside a large one%s: wrong", smalls, has_mask ? ", with a mask" : "");
	/* Or nothing has been shown. */
	CHECK(early > last / 20);
	CHECK(partial > 0 || !wants_partial);
	expect(events_there(ctx), 0, "more events");
}

int main(void)
{
	file = scratch_direct("file", LARGE, 'f');
	memory = pages((LARGE + SMALL * MEDIUM) / PAGE, PROT_READ | PROT_WRITE);
	count_signal(SIGALRM, SA_RESTART);
	ctx = new_context(16);
	for (int has_mask = 0; has_mask < 2; has_mask++) {
		run(0, has_mask);
		run(SMALL, has_mask);
	}
	end_context(ctx);
	return finish();
}
