/*
 * Description: RWF_NOWAIT: -EAGAIN in the event where the file would block, refused where it
 * cannot be had.
 */
#include "check.h"

#include <sys/socket.h>

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 8192, 'x'), pipes[2], sockets[2];
	int memory = MUST(memfd_create("memory", MFD_CLOEXEC));
	char buffer[4096];
	struct iocb iocb;

	MUST(pipe2(pipes, O_CLOEXEC));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	MUST(pread(file, buffer, sizeof(buffer), 0));

	io_prep_pread(&iocb, file, buffer, sizeof(buffer), 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_at_once(ctx, &iocb, sizeof(buffer), "read of cached data");
	io_prep_pread(&iocb, file, buffer, sizeof(buffer), 8192);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_at_once(ctx, &iocb, 0, "read at the end of the file");
	io_prep_pwrite(&iocb, file, buffer, sizeof(buffer), 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	tell_outcome(ctx, &iocb, "buffered write");

	io_prep_pread(&iocb, pipes[0], buffer, sizeof(buffer), 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_at_once(ctx, &iocb, -EAGAIN, "read of an empty pipe");
	MUST(write(pipes[1], "abc", 3));
	expect_at_once(ctx, &iocb, 3, "read of a pipe with 3 bytes");
	MUST(fcntl(pipes[1], F_SETPIPE_SZ, 4096));
	MUST(write(pipes[1], buffer, sizeof(buffer)));
	io_prep_pwrite(&iocb, pipes[1], buffer, 1, 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_at_once(ctx, &iocb, -EAGAIN, "write to a full pipe");

	io_prep_pread(&iocb, sockets[0], buffer, sizeof(buffer), 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_at_once(ctx, &iocb, -EAGAIN, "read of an empty socket");
	MUST(write(sockets[1], "abc", 3));
	expect_at_once(ctx, &iocb, 3, "read of a socket with 3 bytes");

	/* A memfd does not know it. */
	io_prep_pread(&iocb, memory, buffer, 1, 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	tell_outcome(ctx, &iocb, "read of a memfd");
	end_context(ctx);
	return finish();
}
