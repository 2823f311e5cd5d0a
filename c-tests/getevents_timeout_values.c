/* Description: timeouts are relative, sums of both members, not changed and never refused. */
#include "pending.h"

/* Waits with nothing in flight; tells whether the wait was as long as it has to be. */
static void wait_for(io_context_t ctx, long seconds, long nanoseconds, long least_ms,
		     const char *what)
{
	struct timespec timeout = { seconds, nanoseconds };
	struct io_event event;
	long begin = now_ms(), took;

	expect(io_getevents(ctx, 1, 1, &event, &timeout), 0, "%s", what);
	took = now_ms() - begin;
	/* The clock that is read counts whole milliseconds. */
	fact("%s: %s", what, took >= least_ms - 1 ? "not too early" : "too early");
	CHECK(took >= least_ms - 1);
	CHECK(took < 5000);
	CHECK(timeout.tv_sec == seconds && timeout.tv_nsec == nanoseconds);
}

int main(void)
{
	io_context_t ctx = new_context(4);

	wait_for(ctx, 0, 0, 0, "zero");
	wait_for(ctx, 0, 1, 0, "1 ns");
	wait_for(ctx, 0, 1000, 0, "1 us");
	wait_for(ctx, 0, 100000000, 100, "0.1 s");
	wait_for(ctx, 1, 0, 1000, "1 s");
	wait_for(ctx, 0, 1100000000, 1100, "0 s and 1.1e9 ns");
	wait_for(ctx, -1, 1100000000, 100, "-1 s and 1.1e9 ns");
	wait_for(ctx, 1, -900000000, 100, "1 s and -0.9e9 ns");
	wait_for(ctx, 5, -5000000000, 0, "5 s and -5e9 ns");
	wait_for(ctx, -1, 1000000000, 0, "-1 s and 1e9 ns");
	wait_for(ctx, LONG_MIN, 0, 0, "LONG_MIN s");
	end_context(ctx);
	return finish();
}
