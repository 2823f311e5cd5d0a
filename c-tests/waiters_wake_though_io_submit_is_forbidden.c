/* only: uaio: it forbids what the system's libaio lives by */
/* Description: a poll is pending and a thread sleeps in io_getevents when io_submit is forbidden to all
 * threads. Requests that are accepted later wake it all the same. */
#include "forbidden_in_mid_flight.h"

int main(void)
{
	static const struct group group = { "io_submit", 1, { SYS_io_submit } };
	struct channel never = new_pipe(), channel = new_pipe();
	struct iocb pending, iocbs[2];
	char byte;

	ctx = new_context(8);
	submit_poll(ctx, &pending, never.in, POLLIN);
	for (int i = 0; i < 2; i++) {
		struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 1 };

		start_waiter(&waiter);
		if (i == 0)
			forbid(&group, EPERM);
		feed(channel.out);
		if (i == 0)
			io_prep_pread(&iocbs[i], channel.in, &byte, 1, 0);
		else
			io_prep_poll(&iocbs[i], channel.in, POLLIN);
		submit_accepted(ctx, &iocbs[i]);
		EVENTUALLY(has_returned(&waiter));
		expect(end_waiter(&waiter), 1, "%d: events", i);
		CHECK(event_is_for(&waiter.events[0], &iocbs[i]));
	}
	feed(never.out);
	expect(reap_event_of(ctx, &pending) & POLLIN, POLLIN, "the one that was pending");
	end_context(ctx);
	return finish();
}
