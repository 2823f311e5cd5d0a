/* Description: io_destroy ends pending polls and drops events that nobody took; later contexts
 * never see them. */
#include "pending.h"

int main(void)
{
	struct channel channel = new_pipe();
	struct io_event result;
	struct iocb iocbs[8];
	io_context_t ctx;

	for (int round = 0; round < 5; round++) {
		ctx = new_context(8);
		expect(events_there(ctx), 0, "round %d: events in the beginning", round);
		for (int i = 0; i < 4; i++)
			submit_poll(ctx, &iocbs[i], channel.in, POLLIN);
		for (int i = 4; i < 8; i++)
			submit_poll(ctx, &iocbs[i], channel.out, POLLOUT);
		expect(io_cancel(ctx, &iocbs[0], &result), -EINPROGRESS,
		       "round %d: cancel one", round);
		expect(io_destroy(ctx), 0, "round %d: destroy", round);
		expect(io_cancel(ctx, &iocbs[1], &result), -EINVAL,
		       "round %d: cancel another", round);
	}
	ctx = new_context(8);
	feed(channel.out);
	sleep_ms(20);
	expect(events_there(ctx), 0, "events when the file is ready");
	submit_poll(ctx, &iocbs[1], channel.in, POLLIN);
	expect(reap_event_of(ctx, &iocbs[1]), POLLIN, "a poll of it");
	end_context(ctx);
	return finish();
}
