/* Description: unknown aio_flags, and resfd and reqprio without their flag, are not looked at. */
#include "check.h"

int main(void)
{
	static const unsigned flags[] = { 4, 8, 0x80000000, 0xfffffffc };
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb;
	char byte;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.u.c.resfd = -1;
	iocb.aio_reqprio = -1;
	iocb.key = 0xffffffff;
	iocb.data = (void *)-1l;
	expect_result(ctx, &iocb, 1, "garbage in resfd, reqprio, key and data");
	for (size_t i = 0; i < COUNT(flags); i++) {
		iocb.u.c.flags = flags[i];
		expect_result(ctx, &iocb, 1, "aio_flags %x", flags[i]);
	}
	/* Of an fsync the priority is not looked at, flag or not. */
	io_prep_fsync(&iocb, file);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = -1;
	expect_result(ctx, &iocb, 0, "fsync with a bad priority");
	end_context(ctx);
	return finish();
}
