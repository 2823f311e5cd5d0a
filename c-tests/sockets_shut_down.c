/* Description: reads of sockets that are shut down end, and writes to them raise SIGPIPE only on
 * stream sockets, once a batch, and not with RWF_NOSIGNAL. */
#include "pending.h"

#include <netinet/in.h>
#include <signal.h>

static volatile int signals;
static io_context_t ctx;

static void handler(int signal)
{
	(void)signal;
	signals++;
}

static void read_after_shutdown(int type, const char *what)
{
	struct channel channel = new_socketpair(type);
	struct iocb iocb;
	char byte;

	MUST(shutdown(channel.in, SHUT_RD));
	io_prep_pread(&iocb, channel.in, &byte, 1, 0);
	expect_result(ctx, &iocb, 0, "read of a %s, shut down", what);
	close_channel(channel);
}

static void write_twice(int fd, long length, int flags, int want, const char *what)
{
	struct iocb iocbs[2], *list[] = { &iocbs[0], &iocbs[1] };
	struct io_event events[2];

	signals = 0;
	for (int i = 0; i < 2; i++) {
		io_prep_pwrite(&iocbs[i], fd, "x", i ? 1 : (unsigned long)length, 0);
		iocbs[i].aio_rw_flags = flags;
	}
	expect(io_submit(ctx, 2, list), 2, "two writes to a %s", what);
	expect(signals, want, "signals");
	expect(reap(ctx, 2, 2, events), 2, "events");
	for (int i = 0; i < 2; i++)
		fact("res %s", code(event_res(&events[i])));
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler };
	struct channel channel;
	int tcp;

	MUST(sigaction(SIGPIPE, &action, NULL));
	ctx = new_context(4);
	read_after_shutdown(SOCK_STREAM, "stream socket");
	read_after_shutdown(SOCK_DGRAM, "datagram socket");
	read_after_shutdown(SOCK_SEQPACKET, "sequenced packet socket");

	channel = new_socketpair(SOCK_SEQPACKET);
	close(channel.in);
	write_twice(channel.out, 1, 0, 0, "sequenced packet socket without a peer");
	close(channel.out);
	channel = new_socketpair(SOCK_DGRAM);
	MUST(shutdown(channel.out, SHUT_WR));
	write_twice(channel.out, 1, 0, 0, "datagram socket, shut down");
	write_twice(channel.out, 0, 0, 0, "datagram socket, shut down, first nothing");
	close_channel(channel);
	channel = new_socketpair(SOCK_STREAM);
	close(channel.in);
	write_twice(channel.out, 1, 0, 1, "stream socket without a peer");
	close(channel.out);
	tcp = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	write_twice(tcp, 1, 0, 1, "socket that is not connected");
	write_twice(tcp, 0, 0, 1, "socket that is not connected, first nothing");
	write_twice(tcp, 0, RWF_NOSIGNAL, 0, "socket that is not connected, first nothing, silently");
	end_context(ctx);
	return finish();
}
