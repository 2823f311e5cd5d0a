/* not: always: a ready poll may have to wait for the harvester */
/* Description: with min_nr 0, io_getevents returns at once whatever the timeout, with what is
 * there. */
#include "pending.h"

static void try(io_context_t ctx, int want, const char *what)
{
	struct timespec long_while = { 30, 0 }, negative = { -1, 0 };
	struct io_event events[4];
	sigset_t mask;
	long begin = now_ms();

	sigemptyset(&mask);
	expect(io_getevents(ctx, 0, 4, events, NULL), want, "%s, no timeout", what);
	expect(io_getevents(ctx, 0, 4, events, &long_while), 0, "%s, 30 s", what);
	expect(io_getevents(ctx, 0, 4, events, &negative), 0, "%s, -1 s", what);
	expect(io_getevents(ctx, 0, 0, NULL, &long_while), 0, "%s, 30 s, nr 0", what);
	expect(io_pgetevents(ctx, 0, 4, events, NULL, &mask), 0, "%s, a mask", what);
	CHECK(now_ms() - begin < 5000);
}

int main(void)
{
	io_context_t ctx = new_context(4);
	struct timespec long_while = { 30, 0 };
	struct channel channel = new_pipe();
	struct io_event events[4];
	struct iocb poll, write;
	long begin;

	try(ctx, 0, "nothing submitted");

	submit_poll(ctx, &poll, channel.in, POLLIN);
	try(ctx, 0, "a poll pending");

	io_prep_pwrite(&write, channel.out, "x", 1, 0);
	submit_accepted(ctx, &write);
	try(ctx, 2, "a write and a poll done");

	/* Programs count on buffered I/O being done when io_submit returns. */
	io_prep_pwrite(&write, scratch("file", 0), "x", 1, 0);
	submit_accepted(ctx, &write);
	begin = now_ms();
	expect(io_getevents(ctx, 0, 1, events, &long_while), 1, "a file written, 30 s");
	CHECK(now_ms() - begin < 5000);
	end_context(ctx);
	return finish();
}
