/* Description: io_getevents takes all that is there up to nr, more than min_nr; nr 0 takes nothing.
 * */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(64);
	struct timespec zero = { 0, 0 };
	struct channel channel = new_pipe();
	struct io_event events[64];
	struct iocb iocbs[40], *list[40];
	int got;

	for (int i = 0; i < 40; i++) {
		io_prep_poll(&iocbs[i], channel.out, POLLOUT);
		list[i] = &iocbs[i];
	}
	expect(io_submit(ctx, 40, list), 40, "submit");
	expect(io_getevents(ctx, 0, 0, events, NULL), 0, "nr 0");
	expect(io_getevents(ctx, 0, 0, NULL, &zero), 0, "nr 0, no events pointer, zero timeout");
	expect(io_getevents(ctx, 0, 0, NULL, NULL), 0, "nr 0, no events pointer");

	memset(events, 0, sizeof(events));
	got = io_getevents(ctx, 1, 10, events, NULL);
	expect(got, 10, "min_nr 1, nr 10");
	for (int i = 0; i < got; i++)
		CHECK(events[i].obj == &iocbs[i]);
	CHECK(events[10].obj == NULL);
	expect(io_getevents(ctx, 1, 1, events, NULL), 1, "min_nr 1, nr 1");
	CHECK(events[0].obj == &iocbs[10]);
	expect(io_getevents(ctx, 5, 9, events, NULL), 9, "min_nr 5, nr 9");
	expect(io_getevents(ctx, 1, 64, events, NULL), 20, "min_nr 1, nr 64");
	CHECK(events[19].obj == &iocbs[39]);
	expect(io_getevents(ctx, 1, 64, events, &zero), 0, "none left");
	end_context(ctx);
	return finish();
}
