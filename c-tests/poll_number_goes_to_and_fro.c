/* Description: two files that take turns at one number, both open elsewhere and both polled: each poll
 * is of the file that the number meant when it was submitted. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel first = new_pipe(), second = new_pipe();
	int number = (int)MUST(dup(second.in));
	struct iocb iocb, of_first, of_second, again;

	/* The second file was polled by this number once. */
	submit_poll(ctx, &iocb, number, POLLIN);
	feed(second.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "the second file, alone");
	empty_out(second.in);

	MUST(dup2(first.in, number));
	submit_poll(ctx, &of_first, number, POLLIN);
	MUST(dup2(second.in, number));
	submit_poll(ctx, &of_second, number, POLLIN);
	MUST(dup2(first.in, number));
	submit_poll(ctx, &again, number, POLLIN | POLLRDHUP);
	sleep_ms(20);
	expect(events_there(ctx), 0, "events while nothing is ready");

	feed(second.out);
	expect(reap_event_of(ctx, &of_second) & POLLIN, POLLIN, "the second file, in between");
	expect(events_there(ctx), 0, "events of the first file");
	feed(first.out);
	expect(reap_event_of(ctx, &again) & POLLIN, POLLIN, "the first file, the younger poll");
	expect(reap_event_of(ctx, &of_first) & POLLIN, POLLIN, "the first file, the older poll");
	end_context(ctx);
	return finish();
}
