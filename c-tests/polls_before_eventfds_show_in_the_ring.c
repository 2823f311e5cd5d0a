/* Description: a poll is pending when the first one with an eventfd comes. Both events come to the ring
 * without a call, and polls can be cancelled as before. */
#include "pending.h"

#include <sys/eventfd.h>

int main(void)
{
	struct channel before = new_pipe(), other = new_pipe(), after = new_pipe();
	int counter = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct iocb iocbs[4];
	struct io_event event;

	for (int round = 0; round < 3; round++) {
		io_context_t ctx = new_context(8);

		submit_poll(ctx, &iocbs[0], before.in, POLLIN);
		submit_poll(ctx, &iocbs[1], other.in, POLLIN);
		io_prep_poll(&iocbs[2], after.in, POLLIN);
		io_set_eventfd(&iocbs[2], counter);
		submit_accepted(ctx, &iocbs[2]);
		submit_poll(ctx, &iocbs[3], other.in, POLLIN);

		feed(before.out);
		EVENTUALLY(in_ring(ctx) == 1);
		CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocbs[0]));
		feed(after.out);
		expect(take_counts(counter, 1), 1, "round %d: eventfd", round);
		expect(in_ring(ctx), 1, "in the ring");
		CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocbs[2]));
		for (int i = 1; i < 4; i += 2) {
			expect(io_cancel(ctx, &iocbs[i], &event), -EINPROGRESS, "cancel");
			EVENTUALLY(in_ring(ctx) == 1);
			CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocbs[i]));
			expect(event_res(&event), 0, "res");
		}
		expect(events_there(ctx), 0, "more events");
		end_context(ctx);
		empty_out(before.in);
		empty_out(after.in);
	}
	return finish();
}
