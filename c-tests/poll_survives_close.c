/* Description: a pending poll belongs to the file, not to the number: closing the number, or giving
 * it to another file, does not end it. */
#include "pending.h"

static io_context_t ctx;
static struct iocb iocb, other;

static void nothing_yet(const char *what)
{
	sleep_ms(20);
	expect(events_there(ctx), 0, "%s: events", what);
}

int main(void)
{
	struct channel channel = new_pipe(), second = new_pipe();
	int number = channel.in;
	struct io_event result;

	ctx = new_context(8);

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	close(channel.in);
	nothing_yet("closed");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "closed, then data");
	close(channel.out);

	channel = new_pipe();
	CHECK(channel.in == number);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	MUST(dup2(second.out, number));
	nothing_yet("the number is a file that is ready");
	submit_poll(ctx, &other, number, POLLOUT);
	expect(reap_event_of(ctx, &other), POLLOUT, "that file, polled");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "the first file has data");
	close(number);
	close(channel.out);

	channel = new_pipe();
	CHECK(channel.in == number);
	submit_poll(ctx, &iocb, number, POLLIN);
	MUST(dup2(second.in, number));
	submit_poll(ctx, &other, number, POLLIN);
	nothing_yet("two files under one number");
	feed(second.out);
	expect(reap_event_of(ctx, &other) & POLLIN, POLLIN, "the second file has data");
	nothing_yet("after that");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "the first file has data");
	close(number);
	close(channel.out);
	empty_out(second.in);

	channel = new_pipe();
	CHECK(channel.in == number);
	submit_poll(ctx, &iocb, number, POLLIN);
	MUST(dup2(second.in, number));
	submit_poll(ctx, &other, number, POLLIN);
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel the first");
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	feed(second.out);
	expect(reap_event_of(ctx, &other) & POLLIN, POLLIN, "the second file has data");
	end_context(ctx);
	return finish();
}
