/* Description: cancelling a pending poll gives -EINPROGRESS; its event follows, with res 0, and the
 * result argument is not touched. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct io_event result, before;
	struct iocb iocb;

	memset(&result, 0x5a, sizeof(result));
	before = result;
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel");
	CHECK(memcmp(&result, &before, sizeof(result)) == 0);
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "cancel, after its event");
	CHECK(memcmp(&result, &before, sizeof(result)) == 0);

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	expect(io_cancel(ctx, &iocb, NULL), -EINPROGRESS, "cancel, result NULL");
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	expect(io_cancel(ctx, &iocb, KERNEL_ADDRESS), -EINPROGRESS, "cancel, kernel result");
	expect(reap_event_of(ctx, &iocb), 0, "its res");

	/* The poll is gone: readiness makes no event any more. */
	feed(channel.out);
	sleep_ms(50);
	expect(events_there(ctx), 0, "events when the file is ready later");
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	expect(reap_event_of(ctx, &iocb), POLLIN, "polled again");
	end_context(ctx);
	return finish();
}
