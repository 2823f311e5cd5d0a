/* Description: a cancelled poll adds one to its eventfd, once its event is in the ring. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct pollfd readable = { resfd, POLLIN, 0 };
	struct io_event result, event = { 0 };
	struct iocb iocb;

	io_prep_poll(&iocb, channel.in, POLLIN);
	io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	expect(take_count(resfd), 0, "count while pending");
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel");
	expect(poll(&readable, 1, 10000), 1, "eventfd readable");
	expect(in_ring(ctx), 1, "events in the ring");
	expect(take_count(resfd), 1, "count");
	CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocb));
	expect(event_res(&event), 0, "res");
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "cancel again");
	sleep_ms(20);
	expect(take_count(resfd), 0, "count after that");
	end_context(ctx);
	return finish();
}
