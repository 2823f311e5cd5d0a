/*
 * Description: descriptors that are closed, O_PATH or not open for the operation are -EBADF at
 * submit.
 */
#include "check.h"

static io_context_t ctx;

static void with(int fd, const int want[6], const char *what)
{
	struct iovec iov = { (char[8]){ 0 }, 8 };
	struct iocb iocb;

	io_prep_pread(&iocb, fd, iov.iov_base, 8, 0);
	expect_submit(ctx, &iocb, want[0], "pread, %s", what);
	io_prep_pwrite(&iocb, fd, iov.iov_base, 8, 0);
	expect_submit(ctx, &iocb, want[1], "pwrite, %s", what);
	io_prep_preadv(&iocb, fd, &iov, 1, 0);
	expect_submit(ctx, &iocb, want[2], "preadv, %s", what);
	io_prep_pwritev(&iocb, fd, &iov, 1, 0);
	expect_submit(ctx, &iocb, want[3], "pwritev, %s", what);
	io_prep_fsync(&iocb, fd);
	expect_submit(ctx, &iocb, want[4], "fsync, %s", what);
	io_prep_fdsync(&iocb, fd);
	expect_submit(ctx, &iocb, want[4], "fdsync, %s", what);
	io_prep_poll(&iocb, fd, POLLIN);
	expect_submit(ctx, &iocb, want[5], "poll, %s", what);
	/* The descriptor comes before the opcode. */
	iocb.aio_lio_opcode = IO_CMD_NOOP;
	expect_submit(ctx, &iocb, want[4] == -EBADF ? -EBADF : -EINVAL, "no-op, %s", what);
}

int main(void)
{
	static const int none[6] = { -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF };
	static const int reads[6] = { 1, -EBADF, 1, -EBADF, 1, 1 };
	static const int writes[6] = { -EBADF, 1, -EBADF, 1, 1, 1 };
	int file = scratch_filled("file", 0, 4096, 'x'), closed = dup(file), pair[2];
	struct iovec iov = { NULL, 0 };
	struct iocb iocb;

	ctx = new_context(16);
	MUST(pipe2(pair, O_CLOEXEC | O_NONBLOCK));
	close(closed);
	with(closed, none, "closed");
	with(-1, none, "-1");
	with(-100, none, "AT_FDCWD");
	with(1 << 30, none, "1 << 30");
	with(__INT_MAX__, none, "INT_MAX");
	with(-__INT_MAX__ - 1, none, "INT_MIN");
	with(MUST(open("file", O_PATH | O_CLOEXEC)), none, "O_PATH");
	with(MUST(open(".", O_PATH | O_CLOEXEC)), none, "O_PATH of a directory");
	with(MUST(open("file", O_RDONLY | O_CLOEXEC)), reads, "O_RDONLY");
	with(MUST(open("file", O_WRONLY | O_CLOEXEC)), writes, "O_WRONLY");

	/* Open for ioctl only. */
	int neither = MUST(open("file", 3 | O_CLOEXEC));
	io_prep_pread(&iocb, neither, &iov, 1, 0);
	expect_submit(ctx, &iocb, -EBADF, "pread, access mode 3");
	io_prep_pwrite(&iocb, neither, &iov, 1, 0);
	expect_submit(ctx, &iocb, -EBADF, "pwrite, access mode 3");
	io_prep_fsync(&iocb, neither);
	expect_result(ctx, &iocb, 0, "fsync, access mode 3");

	io_prep_pread(&iocb, pair[1], &iov, 1, 0);
	expect_submit(ctx, &iocb, -EBADF, "pread, write end of a pipe");
	io_prep_pwrite(&iocb, pair[0], &iov, 1, 0);
	expect_submit(ctx, &iocb, -EBADF, "pwrite, read end of a pipe");

	/* The mode is checked even for nothing. */
	io_prep_pread(&iocb, pair[1], NULL, 0, 0);
	expect_submit(ctx, &iocb, -EBADF, "pread of 0 bytes, write end of a pipe");
	io_prep_pwritev(&iocb, pair[0], NULL, 0, 0);
	expect_submit(ctx, &iocb, -EBADF, "pwritev of 0 buffers, read end of a pipe");
	end_context(ctx);
	return finish();
}
