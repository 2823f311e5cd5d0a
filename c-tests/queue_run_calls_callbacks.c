/* Description: io_queue_run takes all events that are there and calls the callback of each. */
#include "pending.h"

static io_context_t ctx;
static struct channel channel;
static struct iocb iocbs[4], again;
static int polls_told;

static void tell(io_context_t context, struct iocb *iocb, long res, long res2)
{
	CHECK(context == ctx);
	fact("iocb %td: res %s, res2 %s", iocb - iocbs, code(res), code(res2));
}

static void note_poll(io_context_t context, struct iocb *iocb, long res, long res2)
{
	CHECK(context == ctx && iocb == &iocbs[0] && (res & POLLIN) && res2 == 0);
	polls_told++;
}

static void tell_last(io_context_t context, struct iocb *iocb, long res, long res2)
{
	CHECK(context == ctx);
	CHECK(iocb == &again);
	fact("submitted by a callback: res %s, res2 %s", code(res), code(res2));
}

static void submit_another(io_context_t context, struct iocb *iocb, long res, long res2)
{
	tell(context, iocb, res, res2);
	expect(io_poll(ctx, &again, tell_last, channel.out, POLLOUT), 1, "submit in a callback");
}

int main(void)
{
	ctx = new_context(8);
	channel = new_pipe();

	expect(io_queue_run(ctx), 0, "nothing submitted");
	expect(io_poll(ctx, &iocbs[0], note_poll, channel.in, POLLIN), 1, "io_poll");
	expect(io_queue_run(ctx), 0, "a poll pending");

	io_prep_pwrite(&iocbs[1], channel.out, "xyz", 3, 0);
	io_set_callback(&iocbs[1], tell);
	expect(submit(ctx, &iocbs[1]), 1, "submit a write");
	EVENTUALLY(io_queue_run(ctx) == 0 && polls_told == 1);

	expect(io_poll(ctx, &iocbs[0], tell, channel.out, POLLOUT), 1, "io_poll, ready");
	io_prep_pread(&iocbs[1], channel.in, (char[2]){ 0 }, 2, 0);
	io_set_callback(&iocbs[1], tell);
	expect(submit(ctx, &iocbs[1]), 1, "submit a read");
	expect(io_queue_run(ctx), 0, "two events");

	io_prep_pwrite(&iocbs[2], -1, "x", 1, 0);
	expect(submit(ctx, &iocbs[2]), -EBADF, "submit to a closed file");
	io_prep_pread(&iocbs[2], channel.in, NULL, 1, 0);
	io_set_callback(&iocbs[2], submit_another);
	expect(submit(ctx, &iocbs[2]), 1, "submit a read to NULL");
	expect(io_queue_run(ctx), 0, "events of a callback's submission too");
	expect(io_queue_run(ctx), 0, "nothing left");
	expect(drain(ctx), 0, "events left");
	expect(io_queue_run(NULL), -EINVAL, "no context");
	end_context(ctx);
	return finish();
}
