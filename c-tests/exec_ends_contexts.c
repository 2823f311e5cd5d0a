/* Description: exec ends all contexts: the new program starts without any, files that polls kept open are
 * closed, and writes in flight have been carried out. */
#include "pending.h"

#define MANY 16

static int after_exec(char **arguments)
{
	io_context_t old = (io_context_t)strtoul(arguments[1], NULL, 16), ctx;
	int in = atoi(arguments[2]), file = scratch("file", O_DIRECT);
	struct pollfd state = { in, POLLIN, 0 };
	char *buffer = pages(MANY, PROT_READ | PROT_WRITE);
	struct iocb iocb;

	expect(io_submit(old, 0, NULL), -EINVAL, "io_submit, the old context");
	expect(io_destroy(old), -EINVAL, "io_destroy, the old context");
	expect(poll(&state, 1, 10000), 1, "peer of a closed file that was polled");
	expect(state.revents, POLLHUP, "revents");
	expect(pread(file, buffer, MANY * PAGE, 0), MANY * PAGE, "read of the file");
	fact("writes in flight: %s", filled_with(buffer, 'n', MANY * PAGE) ? "done" : "lost");
	CHECK(filled_with(buffer, 'n', MANY * PAGE));
	ctx = new_context(8);
	submit_poll(ctx, &iocb, in, POLLIN);
	expect(reap_event_of(ctx, &iocb), POLLHUP, "a poll in the new program");
	end_context(ctx);
	return finish();
}

int main(int count, char **arguments)
{
	io_context_t ctx;
	struct channel channel;
	char *buffer, context[32], in[16];
	char *again[] = { arguments[0], context, in, NULL };
	struct iocb iocb;
	int file;

	if (count > 1)
		return after_exec(arguments);
	file = scratch_direct("file", MANY * PAGE, 'o');
	buffer = pages(MANY, PROT_READ | PROT_WRITE);
	memset(buffer, 'n', MANY * PAGE);
	ctx = new_context(32);
	channel = new_pipe();
	MUST(fcntl(channel.in, F_SETFD, 0));
	submit_poll(ctx, &iocb, channel.out, POLLPRI);
	close(channel.out);
	for (int i = 0; i < MANY; i++) {
		io_prep_pwrite(&iocb, file, buffer + i * PAGE, PAGE, i * PAGE);
		submit_accepted(ctx, &iocb);
	}
	snprintf(context, sizeof(context), "%lx", (unsigned long)ctx);
	snprintf(in, sizeof(in), "%d", channel.in);
	execv("/proc/self/exe", again);
	die("execv");
}
