/* Description: of requests submitted from the same iocb, io_cancel takes the oldest, one a call. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	struct io_event event, result;
	struct iocb iocb;
	char data[3];

	for (int i = 0; i < 3; i++) {
		io_prep_poll(&iocb, channel.in, POLLIN);
		iocb.data = &data[i];
		expect(submit(ctx, &iocb), 1, "submit %d", i);
	}
	for (int i = 0; i < 3; i++) {
		expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel %d", i);
		expect(reap(ctx, 1, 1, &event), 1, "events");
		CHECK(event.obj == &iocb);
		expect((char *)event.data - data, i, "submission");
		expect(event_res(&event), 0, "res");
	}
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "none left");
	end_context(ctx);
	return finish();
}
