/* Description: /dev/null, zero, full and urandom answer in io_submit. */
#include "all_operations.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	int null = MUST(open("/dev/null", O_RDWR | O_CLOEXEC));
	int zero = MUST(open("/dev/zero", O_RDWR | O_CLOEXEC));
	int full = MUST(open("/dev/full", O_RDWR | O_CLOEXEC));
	int random = MUST(open("/dev/urandom", O_RDONLY | O_CLOEXEC));
	static char buffer[4096];
	struct iocb iocb;

	io_prep_pread(&iocb, null, buffer, sizeof(buffer), 0);
	expect_at_once(ctx, &iocb, 0, "null: read");
	io_prep_pwrite(&iocb, null, buffer, sizeof(buffer), 12345);
	expect_at_once(ctx, &iocb, sizeof(buffer), "null: write");
	memset(buffer, 'x', sizeof(buffer));
	io_prep_pread(&iocb, zero, buffer, sizeof(buffer), 777);
	expect_at_once(ctx, &iocb, sizeof(buffer), "zero: read");
	CHECK(filled_with(buffer, 0, sizeof(buffer)));
	io_prep_pwrite(&iocb, zero, buffer, sizeof(buffer), 0);
	expect_at_once(ctx, &iocb, sizeof(buffer), "zero: write");
	io_prep_pread(&iocb, full, buffer, sizeof(buffer), 0);
	expect_at_once(ctx, &iocb, sizeof(buffer), "full: read");
	io_prep_pread(&iocb, random, buffer, sizeof(buffer), 3);
	expect_at_once(ctx, &iocb, sizeof(buffer), "urandom: read");
	CHECK(!filled_with(buffer, 0, sizeof(buffer)));
	io_prep_pread(&iocb, zero, NULL, 4096, 0);
	expect_at_once(ctx, &iocb, -EFAULT, "zero: read into NULL");
	io_prep_pwrite(&iocb, null, NULL, 4096, 0);
	expect_at_once(ctx, &iocb, 4096, "null: write from NULL");

	/* What one write moves at most. Nobody looks at the buffer. */
	io_prep_pwrite(&iocb, null, buffer, 1ul << 31, 0);
	expect_at_once(ctx, &iocb, 0x7ffff000, "null: write of 2 GiB");
	io_prep_pwrite(&iocb, null, buffer, 1ul << 40, 0);
	expect_at_once(ctx, &iocb, 0x7ffff000, "null: write of 1 TiB");

	tell_all_operations(ctx, null, "null");
	tell_all_operations(ctx, zero, "zero");
	tell_all_operations(ctx, full, "full");
	tell_all_operations(ctx, random, "urandom");
	end_context(ctx);
	return finish();
}
