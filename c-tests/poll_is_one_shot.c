/* Description: a poll completes once; submitted again it tells what is so then. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct iocb iocb;

	for (int round = 0; round < 3; round++) {
		submit_poll(ctx, &iocb, channel.in, POLLIN);
		expect(events_there(ctx), 0, "round %d: before", round);
		feed(channel.out);
		expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "round %d: ready", round);
		feed(channel.out);
		sleep_ms(20);
		expect(events_there(ctx), 0, "round %d: more data", round);

		submit_poll(ctx, &iocb, channel.in, POLLIN);
		expect(in_ring(ctx), 1, "round %d: polled while ready, at once", round);
		expect(reap_event_of(ctx, &iocb), POLLIN, "round %d: polled while ready", round);
		empty_out(channel.in);
	}

	/* Readiness that comes and goes while nobody polls leaves no trace. */
	feed(channel.out);
	empty_out(channel.in);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	sleep_ms(20);
	expect(events_there(ctx), 0, "polled after it was ready");
	end_context(ctx);
	return finish();
}
