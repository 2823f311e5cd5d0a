/* Description: what has completed cannot be cancelled: -EINVAL, and its event stays as it is. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	struct io_event result, event;
	struct iocb iocb, refused;
	char byte = 'x';

	submit_poll(ctx, &iocb, channel.out, POLLOUT);
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "a poll that was ready");
	expect(reap_event_of(ctx, &iocb), POLLOUT, "its res");
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "after its event");

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	feed(channel.out);
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "a poll that has become ready");
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "its res");
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "after its event");

	io_prep_pwrite(&iocb, channel.out, &byte, 1, 0);
	submit_accepted(ctx, &iocb);
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "a write to a pipe");
	expect(reap_event_of(ctx, &iocb), 1, "its res");

	io_prep_pwrite(&iocb, scratch("file", 0), &byte, 1, 0);
	submit_accepted(ctx, &iocb);
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "a write to a file");
	expect(reap_event_of(ctx, &iocb), 1, "its res");

	io_prep_fsync(&iocb, scratch("file", 0));
	submit_accepted(ctx, &iocb);
	expect(reap(ctx, 1, 1, &event), 1, "events of an fsync");
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "an fsync that is done");

	io_prep_poll(&refused, -1, POLLIN);
	expect(submit(ctx, &refused), -EBADF, "submit to a closed file");
	expect(io_cancel(ctx, &refused, &result), -EINVAL, "what was refused");
	expect(drain(ctx), 0, "events left");
	end_context(ctx);
	return finish();
}
