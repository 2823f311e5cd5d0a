/* Description: pipes and FIFOs take any offset, and complete in io_submit. */
#include "all_operations.h"

static io_context_t ctx;

static void with(int in, int out, const char *what)
{
	char buffer[16];
	struct iocb iocb;
	struct iovec iov[2] = { { buffer, 2 }, { buffer + 2, 14 } };

	io_prep_pread(&iocb, in, buffer, 16, 0);
	expect_at_once(ctx, &iocb, -EAGAIN, "%s: read when empty", what);
	io_prep_pwrite(&iocb, out, "hello", 5, 12345);
	expect_at_once(ctx, &iocb, 5, "%s: write at 12345", what);
	io_prep_pread(&iocb, in, buffer, 3, 1ll << 60);
	expect_at_once(ctx, &iocb, 3, "%s: read at 1 << 60", what);
	CHECK(memcmp(buffer, "hel", 3) == 0);
	io_prep_preadv(&iocb, in, iov, 2, 7);
	expect_at_once(ctx, &iocb, 2, "%s: readv of the rest", what);
	CHECK(memcmp(buffer, "lo", 2) == 0);
	memcpy(buffer, "0123456789abcdef", 16);
	io_prep_pwritev(&iocb, out, iov, 2, 0);
	expect_at_once(ctx, &iocb, 16, "%s: writev", what);
	memset(buffer, 0, sizeof(buffer));
	io_prep_pread(&iocb, in, buffer, 16, 0);
	expect_at_once(ctx, &iocb, 16, "%s: read", what);
	CHECK(memcmp(buffer, "0123456789abcdef", 16) == 0);
	io_prep_fsync(&iocb, in);
	expect_submit(ctx, &iocb, -EINVAL, "%s: fsync", what);

	tell_all_operations(ctx, out, what);
	if (in != out)
		tell_all_operations(ctx, in, what);
}

int main(void)
{
	int pair[2], in, out;
	char buffer[4096] = { 0 };
	struct iocb iocb;

	ctx = new_context(16);
	MUST(pipe2(pair, O_CLOEXEC | O_NONBLOCK));
	with(pair[0], pair[1], "pipe");
	MUST(pipe2(pair, O_CLOEXEC | O_NONBLOCK | O_DIRECT));
	tell_all_operations(ctx, pair[0], "packet pipe");
	tell_all_operations(ctx, pair[1], "packet pipe");
	MUST(mkfifo("fifo", 0600));
	in = MUST(open("fifo", O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	out = MUST(open("fifo", O_WRONLY | O_CLOEXEC | O_NONBLOCK));
	with(in, out, "FIFO");
	MUST(mkfifo("both", 0600));
	in = MUST(open("both", O_RDWR | O_CLOEXEC | O_NONBLOCK));
	with(in, in, "FIFO open for both");

	/* Full, and without the other end. */
	MUST(pipe2(pair, O_CLOEXEC | O_NONBLOCK));
	MUST(fcntl(pair[1], F_SETPIPE_SZ, 4096));
	io_prep_pwrite(&iocb, pair[1], buffer, 4096, 0);
	expect_at_once(ctx, &iocb, 4096, "fill the pipe");
	expect_at_once(ctx, &iocb, -EAGAIN, "write when full");
	close(pair[1]);
	io_prep_pread(&iocb, pair[0], buffer, 4096, 0);
	expect_at_once(ctx, &iocb, 4096, "read when the writer is gone");
	expect_at_once(ctx, &iocb, 0, "read of the end");
	end_context(ctx);
	return finish();
}
