/* Description: one iocb may be in flight several times, in one call or in several; each gives an
 * event with the data of its submission. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	struct iocb iocb, *list[3] = { &iocb, &iocb, &iocb };
	struct io_event events[8];
	int seen[2] = { 0 };
	char data[2];

	io_prep_poll(&iocb, channel.in, POLLIN);
	iocb.data = &data[0];
	expect(io_submit(ctx, 3, list), 3, "submit three times");
	iocb.data = &data[1];
	expect(io_submit(ctx, 1, list), 1, "submit once more");
	iocb.data = NULL;
	feed(channel.out);
	expect(reap(ctx, 4, 8, events), 4, "events");
	for (int i = 0; i < 4; i++) {
		CHECK(events[i].obj == &iocb && (event_res(&events[i]) & POLLIN));
		CHECK(events[i].data == &data[0] || events[i].data == &data[1]);
		seen[events[i].data == &data[1]]++;
	}
	expect(seen[0], 3, "with the first data");
	expect(seen[1], 1, "with the second data");
	end_context(ctx);
	return finish();
}
