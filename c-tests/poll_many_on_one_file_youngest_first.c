/* Description: of polls that wait for one file, the last one submitted completes first. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	struct io_event events[4];
	struct iocb iocbs[4];

	for (int i = 0; i < 4; i++)
		submit_poll(ctx, &iocbs[i], channel.in, POLLIN);
	feed(channel.out);
	expect(reap(ctx, 4, 4, events), 4, "events");
	for (int i = 0; i < 4; i++)
		expect(events[i].obj - iocbs, 3 - i, "event %d: iocb", i);
	end_context(ctx);
	return finish();
}
