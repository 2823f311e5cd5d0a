/* Description: many polls stay pending, on one processor, and a thread sleeps in io_getevents. A request
 * that another processor submits, if there is room for it, wakes that thread. */
#include "pending.h"

#define MOST 140

static struct iocb iocbs[MOST];

static void stay_on(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	MUST(sched_setaffinity(0, sizeof(set), &set));
}

static void run(int count, bool is_poll)
{
	struct channel never = new_pipe(), channel = new_pipe();
	io_context_t ctx = new_context(8);
	struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 1 };
	struct iocb iocb;
	char byte;
	int got = 1;

	stay_on(0);
	for (int i = 0; i < count && got == 1; i++) {
		io_prep_poll(&iocbs[i], never.in, POLLIN);
		got = submit(ctx, &iocbs[i]);
	}
	CHECK(got == 1 || got == -EAGAIN);
	start_waiter(&waiter);
	stay_on(1);
	feed(channel.out);
	if (is_poll)
		io_prep_poll(&iocb, channel.in, POLLIN);
	else
		io_prep_pread(&iocb, channel.in, &byte, 1, 0);
	iocb.data = (char *)&iocb + 1;
	got = submit(ctx, &iocb);
	if (got == 1) {
		EVENTUALLY(has_returned(&waiter));
		CHECK(waiter.got == 1 && event_is_for(&waiter.events[0], &iocb));
	} else {
		CHECK(got == -EAGAIN);
	}
	expect(io_destroy(ctx), 0, "io_destroy");
	end_waiter(&waiter);
	close_channel(never);
	close_channel(channel);
}

int main(void)
{
	cpu_set_t set;

	MUST(sched_getaffinity(0, sizeof(set), &set));
	if (!CPU_ISSET(0, &set) || !CPU_ISSET(1, &set))
		skip("two processors are needed");
	for (int count = 10; count < MOST; count += count < 90 ? 20 : 3)
		run(count, count % 2);
	/* Where there is room differs. */
	return finish();
}
