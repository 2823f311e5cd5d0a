/* Description: a signal during a blocking read: its event is -EINTR, and the batch goes on. */
#include "interrupted.h"

static void with(int flags, const char *what)
{
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 100, 'x'), empty[2], partial[2];
	struct iocb before, blocking, after;
	struct iocb *list[] = { &before, &blocking, &after };
	struct io_event events[3];
	char byte, buffer[8192];
	int seen = signals_seen[SIGUSR1];

	MUST(pipe2(empty, O_CLOEXEC));
	count_signal(SIGUSR1, flags);
	io_prep_pread(&before, file, &byte, 1, 0);
	io_prep_pread(&blocking, empty[0], buffer, 1, 0);
	io_prep_pread(&after, file, &byte, 1, 99);

	pthread_t thread = start(interrupt, NULL);
	expect(io_submit(ctx, 3, list), 3, "%s: io_submit", what);
	expect(in_ring(ctx), 3, "%s: events at once", what);
	join(thread);
	expect(signals_seen[SIGUSR1] - seen, 1, "%s: signals", what);
	expect(reap(ctx, 3, 3, events), 3, "%s: reaped", what);
	for (int i = 0; i < 3; i++) {
		CHECK(event_is_for(&events[i], list[i]));
		expect(event_res(&events[i]), i == 1 ? -EINTR : 1, "%s: event %d", what, i);
	}

	/* Half written: the count. */
	MUST(pipe2(partial, O_CLOEXEC));
	MUST(fcntl(partial[1], F_SETPIPE_SZ, 4096));
	memset(buffer, 'p', sizeof(buffer));
	io_prep_pwrite(&blocking, partial[1], buffer, 8192, 0);
	thread = start(interrupt, NULL);
	expect_at_once(ctx, &blocking, 4096, "%s: write of two pages into a pipe of one", what);
	join(thread);

	/* The file is as it was before. */
	MUST(write(empty[1], "x", 1));
	io_prep_pread(&blocking, empty[0], buffer, 1, 0);
	expect_at_once(ctx, &blocking, 1, "%s: read with data", what);
	end_context(ctx);
}

int main(void)
{
	expect_interruption();
	with(0, "no SA_RESTART");
	with(SA_RESTART, "SA_RESTART");
	return finish();
}
