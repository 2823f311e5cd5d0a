/* only: uaio: it forbids what the system's libaio lives by */
/* Description: a poll is pending and a thread sleeps in io_getevents when io_submit is forbidden to all
 * threads; another one waits for two events, of which one comes by itself. Requests that are accepted
 * later wake them all the same. */
#include "forbidden_in_mid_flight.h"

/* Sleeps in a context of its own for two events: one comes by itself, the other does not. */
static void start_waiter_for_two(struct waiter *waiter, struct iocb *iocb)
{
	io_prep_pread(iocb, direct, memory, PAGE, 0);
	submit_accepted(waiter->ctx, iocb);
	start_waiter(waiter);
}

int main(void)
{
	static const struct group group = { "io_submit", 1, { SYS_io_submit } };
	struct channel never = new_pipe(), channel = new_pipe();
	struct waiter for_two = { .ctx = new_context(8), .min_nr = 2, .nr = 2 };
	struct iocb pending, iocbs[3], first, second;
	char byte;

	direct = scratch_direct("direct", PAGE, 'd');
	memory = pages(1, PROT_READ | PROT_WRITE);
	ctx = new_context(8);
	submit_poll(ctx, &pending, never.in, POLLIN);
	start_waiter_for_two(&for_two, &first);
	for (int i = 0; i < 3; i++) {
		struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 1 };

		start_waiter(&waiter);
		if (i == 0)
			forbid(&group, EPERM);
		feed(channel.out);
		if (i % 2)
			io_prep_poll(&iocbs[i], channel.in, POLLIN);
		else
			io_prep_pread(&iocbs[i], channel.in, &byte, 1, 0);
		submit_accepted(ctx, &iocbs[i]);
		EVENTUALLY(has_returned(&waiter));
		expect(end_waiter(&waiter), 1, "%d: events", i);
		CHECK(event_is_for(&waiter.events[0], &iocbs[i]));
	}
	io_prep_poll(&second, channel.in, POLLIN);
	submit_accepted(for_two.ctx, &second);
	EVENTUALLY(has_returned(&for_two));
	expect(end_waiter(&for_two), 2, "both events");
	end_context(for_two.ctx);
	feed(never.out);
	expect(reap_event_of(ctx, &pending) & POLLIN, POLLIN, "the one that was pending");
	end_context(ctx);
	return finish();
}
