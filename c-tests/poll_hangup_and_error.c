/* Description: a pending poll completes with POLLHUP or POLLERR without asking for them, with
 * POLLRDHUP only if it asks. */
#include "pending.h"

static io_context_t ctx;
static struct iocb iocb;

static void begin(int fd, int events, const char *what)
{
	submit_poll(ctx, &iocb, fd, events);
	expect(events_there(ctx), 0, "%s, %#x: events before", what, (unsigned)events);
}

static void end(int want)
{
	expect(reap_event_of(ctx, &iocb), want, "then");
}

int main(void)
{
	struct channel pipe = new_pipe();

	ctx = new_context(4);

	begin(pipe.in, POLLIN, "pipe, the writer closes");
	close(pipe.out);
	end(POLLHUP);

	pipe = new_pipe();
	begin(pipe.in, 0, "pipe, the writer closes");
	close(pipe.out);
	end(POLLHUP);

	pipe = new_pipe();
	begin(pipe.in, POLLIN, "pipe, the writer writes and closes");
	feed(pipe.out);
	close(pipe.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "then");
	submit_poll(ctx, &iocb, pipe.in, POLLIN);
	expect(reap_event_of(ctx, &iocb), POLLIN | POLLHUP, "polled again");
	MUST(read(pipe.in, &(char){ 0 }, 1));
	submit_poll(ctx, &iocb, pipe.in, POLLIN);
	expect(reap_event_of(ctx, &iocb), POLLHUP, "polled again, all read");

	pipe = new_pipe();
	fill_up(pipe.out);
	begin(pipe.out, POLLOUT, "full pipe, the reader closes");
	close(pipe.in);
	end(POLLERR);

	pipe = new_pipe();
	begin(pipe.out, POLLPRI, "pipe, the reader closes");
	close(pipe.in);
	end(POLLERR);

	pipe = new_socketpair(SOCK_STREAM);
	begin(pipe.in, POLLRDHUP, "socket, the peer shuts down");
	MUST(shutdown(pipe.out, SHUT_WR));
	end(POLLRDHUP);

	pipe = new_socketpair(SOCK_STREAM);
	begin(pipe.in, POLLIN, "socket, the peer shuts down");
	MUST(shutdown(pipe.out, SHUT_WR));
	end(POLLIN);

	pipe = new_socketpair(SOCK_STREAM);
	begin(pipe.in, POLLPRI, "socket, the peer shuts down and closes");
	MUST(shutdown(pipe.out, SHUT_WR));
	sleep_ms(50);
	expect(events_there(ctx), 0, "events after the shutdown");
	close(pipe.out);
	end(POLLHUP);

	pipe = new_socketpair(SOCK_STREAM);
	begin(pipe.in, POLLIN, "socket, shut down by ourselves");
	MUST(shutdown(pipe.in, SHUT_RDWR));
	end(POLLIN | POLLHUP);
	end_context(ctx);
	return finish();
}
