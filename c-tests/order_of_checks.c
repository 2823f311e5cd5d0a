/* Description: of two errors in one iocb, io_submit reports the one that the kernel finds first. */
#include "check.h"

static io_context_t ctx;
static int file, read_only, write_only, pipe_in;
static char buffer[8];

static struct iocb good(int opcode, int fd)
{
	struct iocb iocb;

	io_prep_pread(&iocb, fd, buffer, sizeof(buffer), 0);
	iocb.aio_lio_opcode = (short)opcode;
	return iocb;
}

/* The iocb with these members, and what comes of it. */
#define ORDER(want, opcode, fd, what, ...)                                     \
	do {                                                                   \
		struct iocb iocb = good(opcode, fd);                           \
		__VA_ARGS__;                                                   \
		expect_submit(ctx, &iocb, want, what);                         \
	} while (0)

int main(void)
{
	struct iovec bad_length = { buffer, -1ul };

	ctx = new_context(16);
	file = scratch_filled("file", 0, 4096, 'x');
	read_only = MUST(open("file", O_RDONLY | O_CLOEXEC));
	write_only = MUST(open("file", O_WRONLY | O_CLOEXEC));
	int pair[2];
	MUST(pipe2(pair, O_CLOEXEC));
	pipe_in = pair[0];

	ORDER(-EINVAL, IO_CMD_PREAD, -1, "reserved2, descriptor", iocb.u.c.__pad3 = 1);
	ORDER(-EINVAL, IO_CMD_PREAD, -1, "nbytes, descriptor", iocb.u.c.nbytes = -1ul);
	ORDER(-EBADF, 99, -1, "descriptor, opcode", (void)0);
	ORDER(-EBADF, IO_CMD_PREAD, -1, "descriptor, resfd no eventfd",
	      io_set_eventfd(&iocb, file));
	ORDER(-EINVAL, 99, file, "resfd no eventfd, opcode", io_set_eventfd(&iocb, file));
	ORDER(-EBADF, 99, file, "resfd, opcode", io_set_eventfd(&iocb, -1));
	ORDER(-EINVAL, 99, file, "opcode, RWF", iocb.aio_rw_flags = 0x80000000);
	ORDER(-EINVAL, 99, write_only, "opcode, mode", (void)0);

	/* priority, RWF, mode, operation, buffer, offset */
	ORDER(-EINVAL, IO_CMD_PREAD, file, "priority, RWF", iocb.u.c.flags = FLAG_IOPRIO,
	      iocb.aio_reqprio = -1, iocb.aio_rw_flags = 0x80000000);
	ORDER(-EINVAL, IO_CMD_PREAD, write_only, "priority, mode", iocb.u.c.flags = FLAG_IOPRIO,
	      iocb.aio_reqprio = -1);
	ORDER(-EINVAL, IO_CMD_PREADV, file, "priority, array", iocb.u.c.flags = FLAG_IOPRIO,
	      iocb.aio_reqprio = -1, iocb.u.c.buf = NULL, iocb.u.c.nbytes = 1);
	ORDER(-EOPNOTSUPP, IO_CMD_PREAD, write_only, "RWF, mode", iocb.aio_rw_flags = 0x80000000);
	ORDER(-EOPNOTSUPP, IO_CMD_PWRITE, read_only, "RWF, mode of a write",
	      iocb.aio_rw_flags = 0x80000000);
	ORDER(-EOPNOTSUPP, IO_CMD_PREAD, file, "RWF, buffer", iocb.aio_rw_flags = 0x80000000,
	      iocb.u.c.buf = KERNEL_ADDRESS);
	ORDER(-EOPNOTSUPP, IO_CMD_PREAD, file, "RWF, offset", iocb.aio_rw_flags = 0x80000000,
	      iocb.u.c.offset = -1);
	ORDER(-EOPNOTSUPP, IO_CMD_PREADV, file, "RWF, count", iocb.aio_rw_flags = 0x80000000,
	      iocb.u.c.nbytes = 1025);
	ORDER(-EBADF, IO_CMD_PREAD, write_only, "mode, offset", iocb.u.c.offset = -1);
	ORDER(-EBADF, IO_CMD_PREAD, write_only, "mode, buffer", iocb.u.c.buf = KERNEL_ADDRESS);
	ORDER(-EBADF, IO_CMD_PREADV, write_only, "mode, array", iocb.u.c.buf = NULL,
	      iocb.u.c.nbytes = 1);
	ORDER(-EBADF, IO_CMD_PREADV, write_only, "mode, count", iocb.u.c.nbytes = 1025);
	ORDER(-EBADF, IO_CMD_PWRITE, pipe_in, "mode of a pipe, offset", iocb.u.c.offset = -1);
	ORDER(-EFAULT, IO_CMD_PREAD, file, "buffer, offset", iocb.u.c.buf = KERNEL_ADDRESS,
	      iocb.u.c.offset = -1);
	ORDER(-EFAULT, IO_CMD_PREADV, file, "array, offset", iocb.u.c.buf = NULL,
	      iocb.u.c.nbytes = 1, iocb.u.c.offset = -1);
	ORDER(-EINVAL, IO_CMD_PREADV, file, "length, offset", iocb.u.c.buf = &bad_length,
	      iocb.u.c.nbytes = 1, iocb.u.c.offset = -1);
	ORDER(-EINVAL, IO_CMD_PREADV, file, "count, array", iocb.u.c.buf = NULL,
	      iocb.u.c.nbytes = 1025);

	/* A directory has no read: found before its buffer and offset are looked at. */
	int directory = MUST(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	ORDER(-EINVAL, IO_CMD_PREAD, directory, "no read, buffer", iocb.u.c.buf = KERNEL_ADDRESS);
	ORDER(-EINVAL, IO_CMD_PREADV, directory, "no read, array", iocb.u.c.buf = NULL,
	      iocb.u.c.nbytes = 1);
	ORDER(-EBADF, IO_CMD_PWRITE, directory, "mode, no write", (void)0);
	ORDER(-EOPNOTSUPP, IO_CMD_PREAD, directory, "RWF, no read",
	      iocb.aio_rw_flags = 0x80000000);

	ORDER(-EINVAL, IO_CMD_FSYNC, pipe_in, "fsync fields, no fsync", iocb.u.c.buf = NULL);
	ORDER(-EBADF, IO_CMD_FSYNC, -1, "descriptor, fsync fields", iocb.u.c.offset = 1);
	ORDER(-EBADF, IO_CMD_POLL, -1, "descriptor, poll mask", iocb.u.c.buf = (void *)-1l);
	ORDER(-EINVAL, IO_CMD_POLL, file, "poll mask, poll fields", iocb.u.c.buf = (void *)-1l);
	end_context(ctx);
	return finish();
}
