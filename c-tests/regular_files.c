/*
 * Description: reads and writes of a regular file: at their offset, short at the end, position
 * untouched.
 */
#include "all_operations.h"

static io_context_t ctx;

int main(void)
{
	int file = scratch_filled("file", 0, 10000, 'x');
	char buffer[8192], third[1000];
	struct iovec iov[3] = { { buffer, 10 }, { NULL, 0 }, { third, 1000 } };
	struct iocb iocb;

	ctx = new_context(16);
	MUST(lseek(file, 1234, SEEK_SET));

	io_prep_pread(&iocb, file, buffer, 8192, 0);
	expect_at_once(ctx, &iocb, 8192, "read at 0");
	CHECK(filled_with(buffer, 'x', 8192));
	io_prep_pread(&iocb, file, buffer, 8192, 8192);
	expect_at_once(ctx, &iocb, 10000 - 8192, "read across the end");
	io_prep_pread(&iocb, file, buffer, 8192, 9999);
	expect_at_once(ctx, &iocb, 1, "read of the last byte");
	io_prep_pread(&iocb, file, buffer, 8192, 10000);
	expect_at_once(ctx, &iocb, 0, "read at the end");
	io_prep_pread(&iocb, file, buffer, 8192, 1ll << 40);
	expect_at_once(ctx, &iocb, 0, "read far past the end");
	io_prep_preadv(&iocb, file, iov, 3, 9500);
	expect_at_once(ctx, &iocb, 500, "readv across the end");
	CHECK(filled_with(third, 'x', 490));

	memset(buffer, 'y', sizeof(buffer));
	memset(third, 'z', sizeof(third));
	io_prep_pwrite(&iocb, file, buffer, 100, 50);
	expect_at_once(ctx, &iocb, 100, "write inside");
	io_prep_pwritev(&iocb, file, iov, 3, 9995);
	expect_at_once(ctx, &iocb, 1010, "writev across the end");
	expect(lseek(file, 0, SEEK_CUR), 1234, "position");
	expect(lseek(file, 0, SEEK_END), 11005, "size");
	MUST(pread(file, buffer, 200, 0));
	CHECK(filled_with(buffer, 'x', 50) && filled_with(buffer + 50, 'y', 100) &&
	      filled_with(buffer + 150, 'x', 50));
	MUST(pread(file, buffer, 1010, 9995));
	CHECK(filled_with(buffer, 'y', 10) && filled_with(buffer + 10, 'z', 1000));

	/* A write far past the end leaves a hole of zeroes. */
	io_prep_pwrite(&iocb, file, "end", 3, 100000);
	expect_at_once(ctx, &iocb, 3, "write past the end");
	io_prep_pread(&iocb, file, buffer, 8192, 50000);
	expect_at_once(ctx, &iocb, 8192, "read of the hole");
	CHECK(filled_with(buffer, 0, 8192));
	io_prep_pwrite(&iocb, file, NULL, 0, 200000);
	expect_at_once(ctx, &iocb, 0, "write of nothing past the end");
	expect(lseek(file, 0, SEEK_END), 100003, "size");

	/* Past 4 GiB, so that nothing is cut to 32 bits. */
	io_prep_pwrite(&iocb, file, "far", 3, 5ll << 30);
	expect_at_once(ctx, &iocb, 3, "write at 5 GiB");
	io_prep_pread(&iocb, file, buffer, 10, 5ll << 30);
	expect_at_once(ctx, &iocb, 3, "read at 5 GiB");
	CHECK(memcmp(buffer, "far", 3) == 0);
	MUST(ftruncate(file, 0));

	tell_all_operations(ctx, file, "file");
	tell_all_operations(ctx, scratch_filled("sync", O_SYNC, 100, 'x'), "O_SYNC");
	tell_all_operations(ctx, scratch_filled("dsync", O_DSYNC, 100, 'x'), "O_DSYNC");
	tell_all_operations(ctx, scratch_filled("nonblock", O_NONBLOCK, 100, 'x'), "O_NONBLOCK");
	tell_all_operations(ctx, MUST(open("file", O_RDONLY)), "O_RDONLY");
	tell_all_operations(ctx, MUST(open("file", O_WRONLY)), "O_WRONLY");
	end_context(ctx);
	return finish();
}
