/* Description: when io_destroy returns, the files of polls that were pending, cancelled or completed just
 * before are closed, if nothing else has them open: their locks and addresses are free. */
#include "pending.h"

#define ROUNDS 8

enum end { PENDING, CANCELLED, COMPLETED };

/* Whether the poll's file is closed when io_destroy has returned. */
static bool is_closed(enum end end)
{
	struct channel channel = new_socketpair(SOCK_STREAM);
	io_context_t ctx = new_context(8);
	struct pollfd peer = { channel.out, POLLOUT, 0 };
	struct io_event result;
	struct iocb iocb;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	close(channel.in);
	if (end == CANCELLED)
		expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel");
	if (end == COMPLETED)
		MUST(write(channel.out, "x", 1));
	if (end != PENDING)
		reap_event_of(ctx, &iocb);
	expect(io_destroy(ctx), 0, "io_destroy");
	MUST(poll(&peer, 1, 0));
	close(channel.out);
	return peer.revents & POLLHUP;
}

int main(void)
{
	for (enum end end = PENDING; end <= COMPLETED; end++) {
		int closed = 0;

		/* A thread of the kernel closes some of them, and may be late. */
		for (int i = 0; i < ROUNDS; i++)
			closed += is_closed(end);
		CHECK(closed > ROUNDS / 2);
		fact("end %d: closed", end);
	}
	return finish();
}
