/* Description: a pending poll keeps its file open after close(): the peer sees neither end of file
 * nor EPIPE until the poll has completed or is cancelled, and sees it then. */
#include "pending.h"

static io_context_t ctx;
static struct iocb iocb;

static int revents(int fd)
{
	struct pollfd state = { fd, POLLIN | POLLOUT, 0 };

	MUST(poll(&state, 1, 0));
	return state.revents;
}

static long write_to(int fd)
{
	return write(fd, "x", 1) == 1 ? 1 : -errno;
}

int main(void)
{
	struct channel channel = new_pipe();
	struct io_event result;

	ctx = new_context(8);
	signal(SIGPIPE, SIG_IGN);

	/* The write end of a pipe; nothing but an error completes this poll. */
	submit_poll(ctx, &iocb, channel.out, POLLPRI);
	close(channel.out);
	sleep_ms(20);
	expect(revents(channel.in), 0, "reader, its writer polled and closed");
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel");
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	EVENTUALLY(revents(channel.in) == POLLHUP);
	expect(revents(channel.in), POLLHUP, "reader, after the cancellation");
	close(channel.in);

	/* The read end. */
	channel = new_pipe();
	submit_poll(ctx, &iocb, channel.in, POLLPRI);
	close(channel.in);
	sleep_ms(20);
	expect(write_to(channel.out), 1, "write, the reader polled and closed");
	expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel");
	expect(reap_event_of(ctx, &iocb), 0, "its res");
	EVENTUALLY(revents(channel.out) & POLLERR);
	expect(write_to(channel.out), -EPIPE, "write, after the cancellation");
	close(channel.out);

	/* Completed by the peer. */
	channel = new_socketpair(SOCK_STREAM);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	close(channel.in);
	sleep_ms(20);
	expect(revents(channel.out), POLLOUT, "peer of a socket that is polled and closed");
	expect(write_to(channel.out), 1, "write to it");
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "its res");
	EVENTUALLY(revents(channel.out) & POLLHUP);
	expect(write_to(channel.out), -EPIPE, "write, after the event");
	close(channel.out);

	/* Two polls: the file stays until the last. */
	channel = new_socketpair(SOCK_STREAM);
	{
		struct iocb second;

		submit_poll(ctx, &iocb, channel.in, POLLPRI);
		submit_poll(ctx, &second, channel.in, POLLPRI);
		close(channel.in);
		expect(io_cancel(ctx, &iocb, &result), -EINPROGRESS, "cancel one of two");
		expect(reap_event_of(ctx, &iocb), 0, "its res");
		sleep_ms(20);
		expect(revents(channel.out), POLLOUT, "peer, after one of two");
		expect(io_cancel(ctx, &second, &result), -EINPROGRESS, "cancel the other");
		expect(reap_event_of(ctx, &second), 0, "its res");
		EVENTUALLY(revents(channel.out) & POLLHUP);
		fact("peer, after both: hung up");
		close(channel.out);
	}

	/* Destroyed. */
	channel = new_pipe();
	submit_poll(ctx, &iocb, channel.out, POLLPRI);
	close(channel.out);
	expect(revents(channel.in), 0, "reader, before io_destroy");
	end_context(ctx);
	EVENTUALLY(revents(channel.in) == POLLHUP);
	expect(revents(channel.in), POLLHUP, "reader, after io_destroy");
	return finish();
}
