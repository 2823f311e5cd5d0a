/*
 * Description: sockets read and write at offset 0 only; the rest of their errors come in the
 * event.
 */
#include "all_operations.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static io_context_t ctx;

static void stream(int a, int b, const char *what)
{
	char buffer[16];
	struct iocb iocb;
	struct iovec iov[2] = { { buffer, 2 }, { buffer + 2, 14 } };

	io_prep_pread(&iocb, a, buffer, 16, 0);
	expect_at_once(ctx, &iocb, -EAGAIN, "%s: read when empty", what);
	io_prep_pwrite(&iocb, b, "hello", 5, 0);
	expect_at_once(ctx, &iocb, 5, "%s: write", what);
	io_prep_pread(&iocb, a, buffer, 16, 1);
	expect_at_once(ctx, &iocb, -ESPIPE, "%s: read at 1", what);
	io_prep_pread(&iocb, a, NULL, 0, 1);
	expect_at_once(ctx, &iocb, -ESPIPE, "%s: read of 0 bytes at 1", what);
	io_prep_preadv(&iocb, a, iov, 2, 1);
	expect_at_once(ctx, &iocb, -ESPIPE, "%s: readv at 1", what);
	io_prep_pwrite(&iocb, b, "hello", 5, 1);
	expect_at_once(ctx, &iocb, -ESPIPE, "%s: write at 1", what);
	io_prep_pread(&iocb, a, NULL, 0, 0);
	expect_at_once(ctx, &iocb, 0, "%s: read of 0 bytes", what);
	io_prep_preadv(&iocb, a, iov, 2, 0);
	expect_at_once(ctx, &iocb, 5, "%s: readv", what);
	CHECK(memcmp(buffer, "hello", 5) == 0);
	memcpy(buffer, "0123456789abcdef", 16);
	io_prep_pwritev(&iocb, b, iov, 2, 0);
	expect_at_once(ctx, &iocb, 16, "%s: writev", what);
	io_prep_pread(&iocb, a, buffer, 16, 0);
	expect_at_once(ctx, &iocb, 16, "%s: read", what);
	io_prep_fsync(&iocb, a);
	expect_submit(ctx, &iocb, -EINVAL, "%s: fsync", what);
	tell_all_operations(ctx, a, what);
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
	int pair[2], udp, tcp, listener, client;
	struct iocb iocb;
	char buffer[16];

	signal(SIGPIPE, SIG_IGN);
	ctx = new_context(16);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | flags, 0, pair));
	stream(pair[0], pair[1], "unix stream");
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | flags, 0, pair));
	stream(pair[0], pair[1], "unix seqpacket");
	MUST(socketpair(AF_UNIX, SOCK_DGRAM | flags, 0, pair));
	stream(pair[0], pair[1], "unix datagram");

	udp = MUST(socket(AF_INET, SOCK_DGRAM | flags, 0));
	io_prep_pwrite(&iocb, udp, "x", 1, 0);
	expect_at_once(ctx, &iocb, -EDESTADDRREQ, "unconnected UDP: write");
	io_prep_pread(&iocb, udp, buffer, 16, 0);
	expect_at_once(ctx, &iocb, -EAGAIN, "unconnected UDP: read");
	tell_all_operations(ctx, udp, "unconnected UDP");

	tcp = MUST(socket(AF_INET, SOCK_STREAM | flags, 0));
	io_prep_pread(&iocb, tcp, buffer, 16, 0);
	expect_at_once(ctx, &iocb, -ENOTCONN, "unconnected TCP: read");
	io_prep_pwrite(&iocb, tcp, "x", 1, 0);
	expect_at_once(ctx, &iocb, -EPIPE, "unconnected TCP: write");
	tell_all_operations(ctx, tcp, "unconnected TCP");

	listener = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	MUST(listen(listener, 1));
	MUST(getsockname(listener, (struct sockaddr *)&address, &length));
	io_prep_pread(&iocb, listener, buffer, 16, 0);
	expect_at_once(ctx, &iocb, -ENOTCONN, "listening TCP: read");
	client = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(connect(client, (struct sockaddr *)&address, sizeof(address)));
	pair[1] = MUST(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	io_prep_pwrite(&iocb, client, "hello", 5, 0);
	expect_at_once(ctx, &iocb, 5, "TCP: write");
	io_prep_pread(&iocb, pair[1], buffer, 16, 0);
	expect_at_once(ctx, &iocb, 5, "TCP: read");
	close(client);
	expect_at_once(ctx, &iocb, 0, "TCP: read when the peer is gone");
	end_context(ctx);
	return finish();
}
