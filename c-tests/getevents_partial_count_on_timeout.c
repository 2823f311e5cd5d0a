/* Description: when the timeout runs out, io_getevents returns what it has, after all of the
 * timeout. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct timespec timeout = { 0, 200000000 };
	struct channel ready = new_pipe(), never = new_pipe();
	struct iocb iocbs[3];
	struct io_event events[8];
	long begin;

	submit_poll(ctx, &iocbs[0], ready.out, POLLOUT);
	submit_poll(ctx, &iocbs[1], never.in, POLLIN);
	submit_poll(ctx, &iocbs[2], ready.out, POLLOUT);

	begin = now_ms();
	expect(io_getevents(ctx, 3, 8, events, &timeout), 2, "two of three");
	CHECK(now_ms() - begin >= 199);
	CHECK(event_is_for(&events[0], &iocbs[0]));
	CHECK(event_is_for(&events[1], &iocbs[2]));
	expect(io_getevents(ctx, 3, 8, events, &timeout), 0, "none of one");
	expect(io_getevents(ctx, 3, 8, events, &(struct timespec){ 0, 0 }), 0,
	       "none, zero timeout");

	submit_poll(ctx, &iocbs[0], ready.out, POLLOUT);
	expect(io_getevents(ctx, 3, 8, events, &(struct timespec){ 0, 0 }), 1, "one, zero timeout");
	end_context(ctx);
	return finish();
}
