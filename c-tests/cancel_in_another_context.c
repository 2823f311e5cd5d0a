/* Description: a request is cancelled in its own context only. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4), other = new_context(4);
	struct channel channel = new_pipe();
	struct io_event result;
	struct iocb iocb;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	expect(io_cancel(other, &iocb, &result), -EINVAL, "in another context");
	submit_poll(other, &iocb, channel.in, POLLIN);
	expect(io_cancel(other, &iocb, &result), -EINPROGRESS, "pending there as well");
	expect(reap_event_of(other, &iocb), 0, "its res");
	expect(io_cancel(other, &iocb, &result), -EINVAL, "there again");
	sleep_ms(20);
	expect(events_there(ctx), 0, "events in the first context");
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "in the first context");
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	end_context(other);
	expect(io_cancel(other, &iocb, &result), -EINVAL, "in a destroyed context");
	end_context(ctx);
	return finish();
}
