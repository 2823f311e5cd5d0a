/* Description: a cancelled poll holds its slot until its event is taken. */
#include "pending.h"

int main(void)
{
	struct channel channel = new_pipe();
	io_context_t ctx;
	struct iocb iocb;
	struct io_event event, result;
	int capacity = 0, got;

	stay_on_this_cpu();
	ctx = new_context(1);
	io_prep_poll(&iocb, channel.in, POLLIN);
	while ((got = submit(ctx, &iocb)) == 1)
		capacity++;
	expect(got, -EAGAIN, "submit when full");
	for (int i = 0; i < capacity; i++)
		CHECK(io_cancel(ctx, &iocb, &result) == -EINPROGRESS);
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "cancel when all are");
	sleep_ms(50);
	expect(submit(ctx, &iocb), -EAGAIN, "submit when all are cancelled");
	expect(reap(ctx, 1, 1, &event), 1, "one event");
	expect(submit(ctx, &iocb), 1, "submit then");
	expect(submit(ctx, &iocb), -EAGAIN, "submit one more");
	for (int i = 1; i < capacity; i++)
		CHECK(reap(ctx, 1, 1, &event) == 1 && event_res(&event) == 0);
	expect(events_there(ctx), 0, "events left");
	end_context(ctx);
	return finish();
}
