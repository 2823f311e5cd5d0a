/* Description: a negative or overflowing offset is -EINVAL at submit, for every kind of file. */
#include "check.h"

#include <sys/socket.h>

static io_context_t ctx;
static char buffer[16];

static void on(int fd, int reads, int writes, const char *what)
{
	static const struct {
		long long offset;
		unsigned long nbytes;
		const char *name;
	} bad[] = {
		{ -1, 8, "-1" },
		{ -1, 0, "-1, 0 bytes" },
		{ -4096, 8, "-4096" },
		{ -__LONG_LONG_MAX__ - 1, 8, "LLONG_MIN" },
		{ __LONG_LONG_MAX__, 1, "LLONG_MAX, 1 byte" },
		{ __LONG_LONG_MAX__ - 7, 8, "LLONG_MAX - 7, 8 bytes" },
	};
	struct iocb iocb;

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct iovec iov = { buffer, bad[i].nbytes };

		if (reads) {
			io_prep_pread(&iocb, fd, buffer, bad[i].nbytes, bad[i].offset);
			expect_submit(ctx, &iocb, -EINVAL, "pread, %s, %s", what, bad[i].name);
			io_prep_preadv(&iocb, fd, &iov, 1, bad[i].offset);
			expect_submit(ctx, &iocb, -EINVAL, "preadv, %s, %s", what, bad[i].name);
		}
		if (writes) {
			io_prep_pwrite(&iocb, fd, buffer, bad[i].nbytes, bad[i].offset);
			expect_submit(ctx, &iocb, -EINVAL, "pwrite, %s, %s", what, bad[i].name);
			io_prep_pwritev(&iocb, fd, &iov, 1, bad[i].offset);
			expect_submit(ctx, &iocb, -EINVAL, "pwritev, %s, %s", what, bad[i].name);
		}
	}
}

int main(void)
{
	int file = scratch_filled("file", 0, 4096, 'x'), append, pipes[2], sockets[2];
	struct iovec none = { NULL, 0 };
	struct iocb iocb;

	ctx = new_context(16);
	append = MUST(open("file", O_RDWR | O_APPEND | O_CLOEXEC));
	MUST(pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets));

	on(file, 1, 1, "file");
	on(append, 1, 1, "O_APPEND");
	on(pipes[0], 1, 0, "pipe");
	on(pipes[1], 0, 1, "pipe");
	on(sockets[0], 1, 1, "socket");
	on(MUST(open("/dev/zero", O_RDWR | O_CLOEXEC)), 1, 1, "/dev/zero");
	on(MUST(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)), 1, 0, "eventfd");

	/* RWF_APPEND ignores the offset, but not its sign. */
	io_prep_pwrite(&iocb, file, buffer, 8, -1);
	iocb.aio_rw_flags = RWF_APPEND;
	expect_submit(ctx, &iocb, -EINVAL, "RWF_APPEND, -1");
	expect(lseek(file, 0, SEEK_END), 4096, "size of the file");

	io_prep_pread(&iocb, file, buffer, 0, __LONG_LONG_MAX__);
	expect_result(ctx, &iocb, 0, "pread of 0 bytes at LLONG_MAX");
	io_prep_preadv(&iocb, file, &none, 1, __LONG_LONG_MAX__);
	expect_result(ctx, &iocb, 0, "preadv of 0 bytes at LLONG_MAX");
	io_prep_preadv(&iocb, file, NULL, 0, -1);
	expect_submit(ctx, &iocb, -EINVAL, "preadv of no buffers at -1");

	/* Valid, and beyond what any file can have. */
	io_prep_pread(&iocb, file, buffer, 8, __LONG_LONG_MAX__ - 8);
	expect_result(ctx, &iocb, 0, "pread up to LLONG_MAX");
	io_prep_pread(&iocb, file, buffer, 8, 1ll << 50);
	expect_result(ctx, &iocb, 0, "pread at 1 << 50");
	io_prep_pwrite(&iocb, file, buffer, 8, __LONG_LONG_MAX__ - 8);
	expect_result(ctx, &iocb, -EFBIG, "pwrite up to LLONG_MAX");
	expect(lseek(file, 0, SEEK_END), 4096, "size of the file");
	end_context(ctx);
	return finish();
}
