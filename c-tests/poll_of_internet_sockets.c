/* Description: polls of TCP and UDP sockets stay pending and complete: for connections, data and
 * resets. */
#include "pending.h"

#include <netinet/in.h>

static io_context_t ctx;
static struct iocb iocb;

/* The file is not ready. */
static void begin(int fd, int events, const char *what)
{
	submit_poll(ctx, &iocb, fd, events);
	expect(events_there(ctx), 0, "%s, %#x: events before", what, (unsigned)events);
}

/* By now it is. What was not asked for is left out: the kernel may add more. */
static void end(int events)
{
	expect(reap_event_of(ctx, &iocb) & events, events, "then");
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	struct linger abort = { 1, 0 };
	int listener, client, server;

	ctx = new_context(4);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) == -1)
		skip("no loopback network: %s", strerror(errno));
	MUST(listen(listener, 1));
	MUST(getsockname(listener, (struct sockaddr *)&address, &length));
	begin(listener, POLLIN, "listening socket");
	client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(client, (struct sockaddr *)&address, sizeof(address)));
	end(POLLIN);
	server = (int)MUST(accept(listener, NULL, NULL));
	begin(server, POLLIN, "tcp");
	feed(client);
	end(POLLIN);

	begin(server, POLLRDHUP, "tcp");
	MUST(setsockopt(client, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)));
	close(client);
	expect(reap_event_of(ctx, &iocb) & (POLLRDHUP | POLLERR | POLLHUP),
	       POLLRDHUP | POLLERR | POLLHUP, "then, the connection reset");

	server = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	address.sin_port = 0;
	MUST(bind(server, (struct sockaddr *)&address, sizeof(address)));
	MUST(getsockname(server, (struct sockaddr *)&address, &length));
	client = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	begin(server, POLLIN, "udp");
	MUST(sendto(client, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)));
	end(POLLIN);
	end_context(ctx);
	return finish();
}
