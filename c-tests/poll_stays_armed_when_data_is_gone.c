/* not: kernel: as in the kernel, see poll_event_outlives_readiness.c */
/* not: always: the harvester is quicker than the data is gone */
/* only: uaio: the kernel completes it at once, see poll_event_outlives_readiness.c */
/* Description: a poll whose data is gone before anybody takes the event stays pending; it
 * completes, or is cancelled, later. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct io_event result;
	struct iocb iocb;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	feed(channel.out);
	empty_out(channel.in);
	expect(events_there(ctx), 0, "data came and went: events");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "data came and stays");
	empty_out(channel.in);

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	feed(channel.out);
	empty_out(channel.in);
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "data came and went: cancel");
	expect(reap_event_of(ctx, &iocb), 0, "res");
	end_context(ctx);
	return finish();
}
