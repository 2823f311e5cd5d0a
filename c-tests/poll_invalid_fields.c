/* Description: a poll is refused if a member that it does not use is not 0, or its mask has high
 * bits; unknown low bits are dropped. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct io_event result;
	struct iocb iocb;
	static const int masks[] = { -1, 0x10000, 1 << 28, 1 << 30, (int)0x80000001u };
	static const int unknown[] = { POLLNVAL, 0x1000, 0x4000 };

	feed(channel.out);
	for (size_t i = 0; i < COUNT(masks); i++) {
		io_prep_poll(&iocb, channel.in, masks[i]);
		expect_submit(ctx, &iocb, -EINVAL, "mask %#x", (unsigned)masks[i]);
	}
	io_prep_poll(&iocb, channel.in, POLLIN);
	iocb.u.c.buf = (void *)0x100000001ul;
	expect_submit(ctx, &iocb, -EINVAL, "upper half of the mask");
	io_prep_poll(&iocb, channel.in, POLLIN);
	iocb.u.c.nbytes = 1;
	expect_submit(ctx, &iocb, -EINVAL, "nbytes 1");
	io_prep_poll(&iocb, channel.in, POLLIN);
	iocb.u.c.offset = 1;
	expect_submit(ctx, &iocb, -EINVAL, "offset 1");
	io_prep_poll(&iocb, channel.in, POLLIN);
	iocb.u.c.offset = -1;
	expect_submit(ctx, &iocb, -EINVAL, "offset -1");
	io_prep_poll(&iocb, channel.in, POLLIN);
	iocb.aio_rw_flags = 1;
	expect_submit(ctx, &iocb, -EINVAL, "rw_flags 1");
	io_prep_poll(&iocb, -1, POLLIN);
	iocb.u.c.offset = 1;
	expect_submit(ctx, &iocb, -EBADF, "closed fd, offset 1");
	io_prep_poll(&iocb, (int)MUST(open(".", O_PATH)), POLLIN);
	expect_submit(ctx, &iocb, -EBADF, "O_PATH");
	io_prep_poll(&iocb, channel.in, POLLIN);
	io_set_eventfd(&iocb, channel.out);
	expect_submit(ctx, &iocb, -EINVAL, "resfd is a pipe");

	io_prep_poll(&iocb, channel.in, POLLIN);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = -1;
	expect_result(ctx, &iocb, POLLIN, "bad priority");
	io_prep_poll(&iocb, channel.in, 0x8000 | 0x1000 | POLLIN);
	expect_result(ctx, &iocb, POLLIN, "unknown bits and POLLIN");
	for (size_t i = 0; i < COUNT(unknown); i++) {
		submit_poll(ctx, &iocb, channel.in, unknown[i]);
		expect(events_there(ctx), 0, "mask %#x: events", (unsigned)unknown[i]);
		expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "pending");
		expect(reap_event_of(ctx, &iocb), 0, "res");
	}
	end_context(ctx);
	return finish();
}
