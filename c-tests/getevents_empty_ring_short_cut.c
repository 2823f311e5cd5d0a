/* Description: with a zero timeout and nothing to take, the functions of the library return 0
 * without a look at their other arguments; with something to take they look. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct timespec zero = { 0, 0 };
	struct io_event event;
	struct channel channel = new_pipe();
	struct iocb iocb;

	expect(io_getevents(ctx, 5, 1, &event, &zero), 0, "min_nr above nr");
	expect(io_getevents(ctx, -5, -1, NULL, &zero), 0, "negative");
	expect(io_getevents(ctx, 1, 1, KERNEL_ADDRESS, &zero), 0, "bad events");
	expect(io_pgetevents(ctx, 5, 1, NULL, &zero, KERNEL_ADDRESS), 0, "bad mask");
	expect(io_pgetevents(ctx, -1, -1, NULL, &zero, unmapped()), 0, "unmapped mask");
	expect(io_queue_wait(ctx, &zero), 0, "io_queue_wait");

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	expect(io_getevents(ctx, 5, 1, &event, &zero), 0, "min_nr above nr, a request in flight");

	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "its event");
	expect(io_getevents(ctx, 5, 1, &event, &zero), 0, "min_nr above nr, after the event");

	io_prep_poll(&iocb, channel.in, POLLIN);
	expect(submit(ctx, &iocb), 1, "submit what is ready");
	expect(io_getevents(ctx, 5, 1, &event, &zero), -EINVAL, "min_nr above nr, an event there");
	expect(io_getevents(ctx, 0, -1, &event, &zero), -EINVAL, "negative, an event there");
	expect(io_getevents(ctx, 0, 1, KERNEL_ADDRESS, &zero), -EFAULT,
	       "bad events, an event there");
	expect(io_pgetevents(ctx, 0, 1, &event, &zero, KERNEL_ADDRESS), -EFAULT,
	       "bad mask, an event there");
	expect(io_pgetevents(ctx, 0, 1, &event, &zero, NULL), 1, "nothing bad, an event there");
	end_context(ctx);
	return finish();
}
