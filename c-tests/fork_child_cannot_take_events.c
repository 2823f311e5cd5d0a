/* Description: events that wait in the ring at the time of a fork belong to the parent alone. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct timespec zero = { 0, 0 };
	struct channel channel = new_pipe();
	struct io_event event;
	struct iocb iocb;
	int status;
	pid_t child;

	submit_poll(ctx, &iocb, channel.out, POLLOUT);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		expect(io_getevents(ctx, 1, 1, &event, &zero), -EINVAL, "child, zero timeout");
		expect(io_getevents(ctx, 1, 1, &event, NULL), -EINVAL, "child, no timeout");
		_exit(finish());
	}
	MUST(waitpid(child, &status, 0));
	CHECK(status == 0);
	expect(reap_event_of(ctx, &iocb), POLLOUT, "parent");
	end_context(ctx);
	return finish();
}
