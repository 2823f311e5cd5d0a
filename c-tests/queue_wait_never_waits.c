/* Description: io_queue_wait returns 0 at once, events or not, and takes none. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct timespec long_while = { 30, 0 }, zero = { 0, 0 };
	struct channel channel = new_pipe();
	struct iocb iocbs[2];
	long begin = now_ms();

	expect(io_queue_wait(ctx, NULL), 0, "nothing, no timeout");
	expect(io_queue_wait(ctx, &long_while), 0, "nothing, 30 s");
	expect(io_queue_wait(ctx, &zero), 0, "nothing, zero");
	submit_poll(ctx, &iocbs[0], channel.in, POLLIN);
	expect(io_queue_wait(ctx, NULL), 0, "a poll pending, no timeout");
	expect(io_queue_wait(ctx, &long_while), 0, "a poll pending, 30 s");
	submit_poll(ctx, &iocbs[1], channel.out, POLLOUT);
	expect(io_queue_wait(ctx, NULL), 0, "an event, no timeout");
	expect(io_queue_wait(ctx, &zero), 0, "an event, zero");
	CHECK(now_ms() - begin < 5000);
	expect(drain(ctx), 1, "events left");
	expect(io_queue_wait(NULL, NULL), -EINVAL, "no context");
	expect(io_queue_wait(NULL, &zero), -EINVAL, "no context, zero");
	expect(io_queue_wait(NULL, unmapped()), -EFAULT, "no context, bad timeout");
	end_context(ctx);
	return finish();
}
