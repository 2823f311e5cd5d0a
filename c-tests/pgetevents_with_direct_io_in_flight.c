/* Description: while io_pgetevents sleeps for direct I/O and more, a signal that its mask lets
 * through ends it: -EINTR, or what has come. One that the mask blocks does not. */
#include "pending.h"

#define MANY 8
#define ROUNDS 20

static io_context_t ctx;
static int file;
static char *memory;

static void submit_all(struct iocb iocbs[MANY])
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

int main(void)
{
	struct timespec long_while = { 10, 0 }, zero = { 0, 0 };
	struct io_event events[2 * MANY];
	struct iocb iocbs[MANY], poll;
	struct channel channel = new_pipe();
	sigset_t usr1, none, old;
	int wrong = 0, got;

	file = scratch_direct("file", MANY * PAGE, 'f');
	memory = pages(MANY, PROT_READ | PROT_WRITE);
	ctx = new_context(2 * MANY);
	count_signal(SIGUSR1, SA_RESTART);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	MUST(pthread_sigmask(SIG_BLOCK, &usr1, &old));

	for (int round = 0; round < ROUNDS; round++) {
		struct interrupter interrupter;
		int before = signals_seen[SIGUSR1];

		/* More is wanted than will come: a signal is the way out. */
		submit_poll(ctx, &poll, channel.in, POLLIN);
		submit_all(iocbs);
		start_interrupter(&interrupter, SIGUSR1, -1);
		got = io_pgetevents(ctx, MANY + 1, 2 * MANY, events, &long_while, &none);
		join(interrupter.thread);
		CHECK(signals_seen[SIGUSR1] == before + 1);
		if (got == -EINTR)
			got = 0;
		wrong += got < 0 || got > MANY;
		/* Those that were late. */
		if (got < MANY)
			wrong += reap(ctx, MANY - got, MANY - got, events) != MANY - got;
		/* Nothing in flight but the poll. */
		start_interrupter(&interrupter, SIGUSR1, -1);
		wrong += io_pgetevents(ctx, 1, 2 * MANY, events, &long_while, &none) != -EINTR;
		join(interrupter.thread);
		CHECK(signals_seen[SIGUSR1] == before + 2);
		/* Pending before: delivered, with nothing or all in flight. */
		pthread_kill(pthread_self(), SIGUSR1);
		wrong += io_pgetevents(ctx, 1, 2 * MANY, events, &long_while, &none) != -EINTR;
		CHECK(signals_seen[SIGUSR1] == before + 3);
		/* Blocked: the sleep goes on until the poll is ready. */
		submit_all(iocbs);
		start_interrupter(&interrupter, SIGUSR1, channel.out);
		got = io_pgetevents(ctx, MANY + 1, 2 * MANY, events, &long_while, &usr1);
		wrong += got != MANY + 1;
		join(interrupter.thread);
		CHECK(signals_seen[SIGUSR1] == before + 3);
		wrong += io_pgetevents(ctx, 1, 1, events, &zero, NULL) != 0;
		MUST(pthread_sigmask(SIG_SETMASK, &old, NULL));
		CHECK(signals_seen[SIGUSR1] == before + 4);
		MUST(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
		empty_out(channel.in);
		MUST(fcntl(channel.in, F_SETFL, 0));
	}
	expect(wrong, 0, "calls with another answer");
	end_context(ctx);
	return finish();
}
