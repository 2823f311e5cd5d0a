/* Description: a batch is carried out in its order: a poll sees the pipe as the writes and reads
 * before it have left it. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	struct channel channel = new_pipe();
	struct iocb iocbs[8], *list[8];
	struct io_event events[8] = { 0 };
	char byte;

	io_prep_poll(&iocbs[0], channel.out, POLLOUT);
	io_prep_pwrite(&iocbs[1], channel.out, "x", 1, 0);
	io_prep_poll(&iocbs[2], channel.in, POLLIN);
	io_prep_pread(&iocbs[3], channel.in, &byte, 1, 0);
	io_prep_poll(&iocbs[4], channel.in, POLLIN);
	io_prep_poll(&iocbs[5], channel.out, POLLOUT);
	io_prep_pwrite(&iocbs[6], scratch("file", 0), "x", 1, 0);
	io_prep_poll(&iocbs[7], scratch("file", 0), POLLIN | POLLOUT);
	for (int i = 0; i < 8; i++)
		list[i] = &iocbs[i];
	expect(io_submit(ctx, 8, list), 8, "submit");
	expect(in_ring(ctx), 7, "in the ring at once");
	expect(reap(ctx, 7, 8, events), 7, "events");
	for (int i = 0; i < 7; i++)
		fact("iocb %td: %s", events[i].obj - iocbs, code(event_res(&events[i])));
	CHECK(byte == 'x');

	feed(channel.out);
	expect(reap_event_of(ctx, &iocbs[4]) & POLLIN, POLLIN,
	       "iocb 4, which found the pipe empty");

	/* The batch stops where an iocb is refused; what comes after has no effect. */
	empty_out(channel.in);
	io_prep_poll(&iocbs[0], channel.in, POLLIN);
	io_prep_poll(&iocbs[1], -1, POLLIN);
	io_prep_pwrite(&iocbs[2], channel.out, "x", 1, 0);
	expect(io_submit(ctx, 3, list), 1, "submit, the second refused");
	sleep_ms(20);
	expect(events_there(ctx), 0, "events");
	end_context(ctx);
	return finish();
}
