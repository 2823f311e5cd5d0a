/* Description: a program that asks io_getevents or io_queue_wait for no events finds them in the ring
 * afterwards. */
#include "pending.h"

int main(void)
{
	struct timespec second = { 1, 0 };
	struct channel channel = new_pipe();
	io_context_t ctx = new_context(4);
	struct iocb iocb;
	struct io_event event;

	for (int way = 0; way < 2; way++) {
		submit_poll(ctx, &iocb, channel.in, POLLIN);
		feed(channel.out);
		if (way == 0)
			expect(io_getevents(ctx, 0, 0, NULL, &second), 0, "io_getevents");
		else
			expect(io_queue_wait(ctx, &second), 0, "io_queue_wait");
		EVENTUALLY(in_ring(ctx) == 1);
		CHECK(take_from_ring(ctx, &event));
		MUST(read(channel.in, &(char){ 0 }, 1));
	}
	end_context(ctx);
	return finish();
}
