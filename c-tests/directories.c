/* Description: a directory can be synced and nothing else. */
#include "all_operations.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	int directory = MUST(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct iocb iocb;
	char buffer[16];

	io_prep_pread(&iocb, directory, buffer, 16, 0);
	expect_submit(ctx, &iocb, -EINVAL, "pread");
	io_prep_pwrite(&iocb, directory, buffer, 16, 0);
	expect_submit(ctx, &iocb, -EBADF, "pwrite");
	io_prep_fsync(&iocb, directory);
	expect_result(ctx, &iocb, 0, "fsync");
	io_prep_fdsync(&iocb, directory);
	expect_result(ctx, &iocb, 0, "fdsync");
	tell_all_operations(ctx, directory, "directory");
	tell_all_operations(ctx, MUST(open("/proc", O_RDONLY | O_CLOEXEC)), "/proc");
	tell_all_operations(ctx, MUST(open("/sys", O_RDONLY | O_CLOEXEC)), "/sys");
	tell_all_operations(ctx, MUST(open("/dev", O_RDONLY | O_CLOEXEC)), "/dev");
	end_context(ctx);
	return finish();
}
