/* Description: exec ends all contexts: the new program starts without any, and files that polls
 * kept open are closed. */
#include "pending.h"

static int after_exec(char **arguments)
{
	io_context_t old = (io_context_t)strtoul(arguments[1], NULL, 16), ctx;
	int in = atoi(arguments[2]);
	struct pollfd state = { in, POLLIN, 0 };
	struct iocb iocb;

	expect(io_submit(old, 0, NULL), -EINVAL, "io_submit, the old context");
	expect(io_destroy(old), -EINVAL, "io_destroy, the old context");
	expect(poll(&state, 1, 10000), 1, "peer of a closed file that was polled");
	expect(state.revents, POLLHUP, "revents");
	ctx = new_context(8);
	submit_poll(ctx, &iocb, in, POLLIN);
	expect(reap_event_of(ctx, &iocb), POLLHUP, "a poll in the new program");
	end_context(ctx);
	return finish();
}

int main(int count, char **arguments)
{
	char context[32], in[16], *again[] = { arguments[0], context, in, NULL };
	struct channel channel;
	io_context_t ctx;
	struct iocb iocb;

	if (count > 1)
		return after_exec(arguments);
	ctx = new_context(32);
	channel = new_pipe();
	MUST(fcntl(channel.in, F_SETFD, 0));
	submit_poll(ctx, &iocb, channel.out, POLLPRI);
	close(channel.out);
	snprintf(context, sizeof(context), "%lx", (unsigned long)ctx);
	snprintf(in, sizeof(in), "%d", channel.in);
	execv("/proc/self/exe", again);
	die("execv");
}
