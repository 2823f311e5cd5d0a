/* Description: io_getevents is no cancellation point: a thread that is cancelled there waits on,
 * gets its event, and ends at the next one. */
#include "pending.h"

static struct waiter waiter;
static bool passed;

static void *body(void *argument)
{
	waiter_body(&waiter);
	__atomic_store_n(&passed, true, __ATOMIC_RELEASE);
	pthread_testcancel();
	fail("not cancelled");
	return argument;
}

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct iocb iocb, list_of_one;
	pthread_t thread;
	void *result;

	for (int round = 0; round < 2; round++) {
		waiter = (struct waiter){ .ctx = ctx, .min_nr = 1, .nr = 4 };
		passed = false;
		submit_poll(ctx, &iocb, channel.in, POLLIN);
		thread = start(body, NULL);
		EVENTUALLY(waiter.tid && is_asleep(waiter.tid));
		MUST(-pthread_cancel(thread));
		sleep_ms(50);
		fact("cancelled thread: %s", has_returned(&waiter) ? "woken" : "asleep");
		CHECK(!has_returned(&waiter));
		feed(channel.out);
		pthread_join(thread, &result);
		expect(passed, 1, "returned from io_getevents");
		expect(waiter.got, 1, "events");
		expect(result == PTHREAD_CANCELED, 1, "cancelled afterwards");
		empty_out(channel.in);
	}
	/* The context is in order. */
	io_prep_poll(&list_of_one, channel.out, POLLOUT);
	expect_result(ctx, &list_of_one, POLLOUT, "poll");
	end_context(ctx);
	return finish();
}
