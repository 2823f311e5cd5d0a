/*
 * Description: O_APPEND and RWF_APPEND write at the end whatever the offset; RWF_NOAPPEND at the
 * offset.
 */
#include "check.h"

static long size_of(int fd)
{
	struct stat status;

	MUST(fstat(fd, &status));
	return status.st_size;
}

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", O_APPEND, 100, 'x'), plain;
	struct iovec iov = { "two", 3 };
	struct iocb iocb;
	char byte;

	plain = MUST(open("file", O_RDWR | O_CLOEXEC));
	io_prep_pwrite(&iocb, file, "one", 3, 0);
	expect_at_once(ctx, &iocb, 3, "O_APPEND, write at 0");
	expect(size_of(file), 103, "size");
	io_prep_pwritev(&iocb, file, &iov, 1, 50);
	expect_at_once(ctx, &iocb, 3, "O_APPEND, writev at 50");
	expect(size_of(file), 106, "size");
	io_prep_pwrite(&iocb, file, "one", 3, 100000);
	expect_at_once(ctx, &iocb, 3, "O_APPEND, write past the end");
	expect(size_of(file), 109, "size");
	io_prep_pwrite(&iocb, file, "", 0, 5000);
	expect_at_once(ctx, &iocb, 0, "O_APPEND, write of nothing");
	expect(size_of(file), 109, "size");
	io_prep_pread(&iocb, file, &byte, 1, 0);
	expect_at_once(ctx, &iocb, 1, "O_APPEND, read at 0");
	CHECK(byte == 'x');

	io_prep_pwrite(&iocb, plain, "one", 3, 0);
	iocb.aio_rw_flags = RWF_APPEND;
	expect_at_once(ctx, &iocb, 3, "RWF_APPEND, write at 0");
	expect(size_of(file), 112, "size");
	io_prep_pwritev2(&iocb, plain, &iov, 1, 7, RWF_APPEND);
	expect_at_once(ctx, &iocb, 3, "RWF_APPEND, writev at 7");
	expect(size_of(file), 115, "size");

	/* Since Linux 6.9. */
	io_prep_pwrite(&iocb, file, "y", 1, 0);
	iocb.aio_rw_flags = RWF_NOAPPEND;
	tell_outcome(ctx, &iocb, "RWF_NOAPPEND, write at 0");
	MUST(pread(file, &byte, 1, 0));
	fact("first byte %c, size %ld", byte, size_of(file));

	/* The flag in force is that of the submission. */
	MUST(fcntl(plain, F_SETFL, O_APPEND));
	io_prep_pwrite(&iocb, plain, "z", 1, 0);
	expect_at_once(ctx, &iocb, 1, "O_APPEND by fcntl, write at 0");
	MUST(fcntl(plain, F_SETFL, 0));
	expect_at_once(ctx, &iocb, 1, "without it again");
	MUST(pread(file, &byte, 1, 0));
	fact("first byte %c", byte);
	CHECK(byte == 'z');
	end_context(ctx);
	return finish();
}
