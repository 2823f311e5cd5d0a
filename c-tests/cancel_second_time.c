/* Description: a request can be cancelled once; a second io_cancel gives -EINVAL, before its event
 * is taken and after. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct iocb iocb;
	struct io_event result;

	for (int round = 0; round < 2; round++) {
		submit_poll(ctx, &iocb, channel.in, POLLIN);
		expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "first");
		expect(io_cancel(ctx, &iocb, &result), -EINVAL, "second");
		expect(io_cancel(ctx, &iocb, &result), -EINVAL, "third");
		expect(reap_event_of(ctx, &iocb), 0, "res");
		expect(io_cancel(ctx, &iocb, &result), -EINVAL, "after the event");
		sleep_ms(20);
		expect(events_there(ctx), 0, "more events");
	}
	end_context(ctx);
	return finish();
}
