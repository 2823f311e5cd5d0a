/* Description: a thread that waits is woken by its event also when another one, which waited before
 * it, has left: after its timeout, a signal or an event. */
#include "pending.h"

static io_context_t ctx;
static struct channel channel;
static struct iocb iocb;

/* The first waiter has left; the second gets the event all the same. */
static void expect_second(struct waiter *second, const char *what)
{
	sleep_ms(20);
	CHECK(!has_returned(second));
	feed(channel.out);
	expect(end_waiter(second), 1, "%s: the second", what);
	CHECK(event_is_for(&second->events[0], &iocb));
	empty_out(channel.in);
}

int main(void)
{
	struct timespec short_while = { 0, 200000000 };
	struct channel other = new_pipe();
	struct iocb first_iocb;

	ctx = new_context(8);
	channel = new_pipe();
	count_signal(SIGUSR1, SA_RESTART);

	for (int round = 0; round < 3; round++) {
		struct waiter first = { .ctx = ctx, .min_nr = 1, .nr = 1, .timeout = &short_while };
		struct waiter second = { .ctx = ctx, .min_nr = 1, .nr = 1 };

		submit_poll(ctx, &iocb, channel.in, POLLIN);
		start_waiter(&first);
		start_waiter(&second);
		expect(end_waiter(&first), 0, "timeout: the first");
		expect_second(&second, "timeout");

		submit_poll(ctx, &iocb, channel.in, POLLIN);
		first = (struct waiter){ .ctx = ctx, .min_nr = 1, .nr = 1 };
		second = first;
		start_waiter(&first);
		start_waiter(&second);
		pthread_kill(first.thread, SIGUSR1);
		expect(end_waiter(&first), -EINTR, "signal: the first");
		expect_second(&second, "signal");

		/* One event, for the first alone: the second wants two. */
		submit_poll(ctx, &iocb, channel.in, POLLIN);
		submit_poll(ctx, &first_iocb, other.in, POLLIN);
		first = (struct waiter){ .ctx = ctx, .min_nr = 1, .nr = 1 };
		second = (struct waiter){ .ctx = ctx, .min_nr = 2, .nr = 2 };
		start_waiter(&first);
		start_waiter(&second);
		feed(other.out);
		expect(end_waiter(&first), 1, "event: the first");
		CHECK(event_is_for(&first.events[0], &first_iocb));
		submit_poll(ctx, &first_iocb, channel.in, POLLIN);
		sleep_ms(20);
		CHECK(!has_returned(&second));
		feed(channel.out);
		expect(end_waiter(&second), 2, "event: the second");
		empty_out(channel.in);
		empty_out(other.in);
	}
	end_context(ctx);
	return finish();
}
