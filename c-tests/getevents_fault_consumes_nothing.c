/* Description: EFAULT, even on a later event, takes no event: all of them come with the next call.
 * */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct timespec zero = { 0, 0 }, short_while = { 0, 1000000 };
	struct io_event events[8], *read_only = pages(1, PROT_READ);
	struct channel channel = new_pipe();
	struct iocb iocbs[4];
	struct io_event *room_for_two = (struct io_event *)at_edge(2 * sizeof(events[0]));
	int got;

	for (int i = 0; i < 4; i++)
		submit_poll(ctx, &iocbs[i], channel.out, POLLOUT);

	expect(io_getevents(ctx, 1, 4, NULL, &zero), -EFAULT, "NULL");
	expect(io_getevents(ctx, 1, 4, unmapped(), NULL), -EFAULT, "unmapped");
	expect(io_getevents(ctx, 1, 4, KERNEL_ADDRESS, NULL), -EFAULT, "kernel");
	expect(io_getevents(ctx, 1, 4, NO_ADDRESS, NULL), -EFAULT, "not an address");
	expect(io_getevents(ctx, 1, 4, read_only, NULL), -EFAULT, "read-only");
	expect(io_getevents(ctx, 0, 4, NULL, NULL), -EFAULT, "NULL, min_nr 0");
	expect(io_getevents(ctx, 4, 4, room_for_two, &zero), -EFAULT, "room for two of four");
	expect(io_getevents(ctx, 4, 4, (struct io_event *)at_edge(4 * sizeof(events[0]) - 1), NULL),
	       -EFAULT, "room for four but a byte");
	expect(io_getevents(ctx, 8, 8, room_for_two, &short_while), -EFAULT,
	       "room for two, waiting for eight");

	got = io_getevents(ctx, 4, 8, events, &zero);
	expect(got, 4, "then");
	for (int i = 0; i < got; i++)
		fact("event %d: %s", i, event_is_for(&events[i], &iocbs[i]) ? "in order" : "wrong");

	for (int i = 0; i < 4; i++)
		submit_poll(ctx, &iocbs[i], channel.out, POLLOUT);
	expect(io_getevents(ctx, 1, 2, room_for_two, &zero), 2, "room for two, two wanted");
	expect(io_getevents(ctx, 1, 64, room_for_two, &zero), 2,
	       "room for two, two there, more wanted");
	end_context(ctx);
	return finish();
}
