/* Description: polls of one file with different masks complete each for its own reason. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel pair = new_socketpair(SOCK_STREAM);
	struct iocb in, out, hangup, nothing;

	fill_up(pair.in);
	submit_poll(ctx, &in, pair.in, POLLIN);
	submit_poll(ctx, &out, pair.in, POLLOUT);
	submit_poll(ctx, &hangup, pair.in, POLLRDHUP);
	submit_poll(ctx, &nothing, pair.in, 0);
	expect(events_there(ctx), 0, "events before");

	feed(pair.out);
	expect(reap_event_of(ctx, &in) & POLLIN, POLLIN, "data: in");
	sleep_ms(20);
	expect(events_there(ctx), 0, "data: more");

	empty_out(pair.out);
	expect(reap_event_of(ctx, &out) & POLLOUT, POLLOUT, "room: out");
	sleep_ms(20);
	expect(events_there(ctx), 0, "room: more");

	MUST(shutdown(pair.out, SHUT_WR));
	expect(reap_event_of(ctx, &hangup) & POLLRDHUP, POLLRDHUP, "shutdown: rdhup");
	sleep_ms(20);
	expect(events_there(ctx), 0, "shutdown: more");

	close(pair.out);
	expect(reap_event_of(ctx, &nothing) & POLLHUP, POLLHUP, "close: nothing");
	expect(events_there(ctx), 0, "close: more");
	end_context(ctx);
	return finish();
}
