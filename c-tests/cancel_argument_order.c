/* Description: io_cancel reads the key of the iocb first, then looks for the context, then for the
 * request. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct io_event result;
	struct iocb iocb, other = { 0 }, *cut_off = (struct iocb *)at_edge(8);

	submit_poll(ctx, &iocb, channel.in, POLLIN);

	expect(io_cancel(NULL, NULL, &result), -EFAULT, "NULL iocb, no context");
	expect(io_cancel(NULL, unmapped(), &result), -EFAULT, "unmapped iocb, no context");
	expect(io_cancel((io_context_t)8, KERNEL_ADDRESS, &result), -EFAULT,
	       "kernel iocb, bad context");
	expect(io_cancel(ctx, NULL, &result), -EFAULT, "NULL iocb");
	expect(io_cancel(ctx, pages(1, PROT_NONE), &result), -EFAULT, "unreadable iocb");
	expect(io_cancel(ctx, NO_ADDRESS, &result), -EFAULT, "not an address");
	expect(io_cancel(ctx, cut_off, &result), -EFAULT, "readable up to the key");
	expect(io_cancel(ctx, pages(1, PROT_READ), &result), -EINVAL, "read-only iocb");

	other.key = 1;
	expect(io_cancel(NULL, &other, &result), -EINVAL, "key 1, no context");
	other.key = 0;
	expect(io_cancel(NULL, &other, &result), -EINVAL, "no context");
	expect(io_cancel((io_context_t)-1, &other, &result), -EINVAL, "context -1");
	expect(io_cancel((io_context_t)unmapped(), &other, &result), -EINVAL, "unmapped context");
	expect(io_cancel(ctx, &other, &result), -EINVAL, "an iocb that was not submitted");

	iocb.key = 7;
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "pending, key 7");
	expect(events_there(ctx), 0, "events");
	iocb.key = 0;
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "pending, key 0");
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	end_context(ctx);
	return finish();
}
