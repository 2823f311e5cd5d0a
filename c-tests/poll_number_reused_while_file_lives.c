/* Description: a number that was polled and belongs to another file by then is polled as that file,
 * though the first one is still open elsewhere and becomes ready. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel first = new_pipe(), second = new_pipe();
	struct io_event result;
	struct iocb iocb;
	int number = first.in, elsewhere = (int)MUST(dup(first.in));

	/* Polled and completed. */
	submit_poll(ctx, &iocb, number, POLLIN);
	feed(first.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "the first file");
	empty_out(elsewhere);
	MUST(dup2(second.in, number));
	submit_poll(ctx, &iocb, number, POLLIN);
	feed(first.out);
	sleep_ms(20);
	expect(events_there(ctx), 0, "events when the first file has data");
	feed(second.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "the second file");
	empty_out(elsewhere);
	empty_out(second.in);

	/* Polled and cancelled. */
	MUST(dup2(elsewhere, number));
	submit_poll(ctx, &iocb, number, POLLIN);
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel");
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	MUST(dup2(second.in, number));
	submit_poll(ctx, &iocb, number, POLLIN);
	feed(first.out);
	sleep_ms(20);
	expect(events_there(ctx), 0, "events when the first file has data");
	feed(second.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "the second file");

	/* And back to the first. */
	MUST(dup2(elsewhere, number));
	submit_poll(ctx, &iocb, number, POLLIN);
	expect(reap_event_of(ctx, &iocb), POLLIN, "the first file again");
	end_context(ctx);
	return finish();
}
