/*
 * Description: fsync has no buffer, count, offset or flags; poll has a mask of 16 bits and no
 * more.
 */
#include "check.h"

int main(void)
{
	static const int syncs[] = { IO_CMD_FSYNC, IO_CMD_FDSYNC };
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 4096, 'x'), pair[2];
	struct iocb iocb;

	MUST(pipe2(pair, O_CLOEXEC));
	MUST(write(pair[1], "x", 1));
	for (size_t i = 0; i < COUNT(syncs); i++) {
		const char *name = i ? "fdsync" : "fsync";

		io_prep_fsync(&iocb, file);
		iocb.aio_lio_opcode = (short)syncs[i];
		expect_result(ctx, &iocb, 0, "%s", name);
		iocb.u.c.buf = &iocb;
		expect_submit(ctx, &iocb, -EINVAL, "%s with a buffer", name);
		iocb.u.c.buf = NULL;
		iocb.u.c.nbytes = 1;
		expect_submit(ctx, &iocb, -EINVAL, "%s with a count", name);
		iocb.u.c.nbytes = 0;
		iocb.u.c.offset = 1;
		expect_submit(ctx, &iocb, -EINVAL, "%s with an offset", name);
		iocb.u.c.offset = -1;
		expect_submit(ctx, &iocb, -EINVAL, "%s with offset -1", name);
		iocb.u.c.offset = 0;
		iocb.aio_rw_flags = RWF_SYNC;
		expect_submit(ctx, &iocb, -EINVAL, "%s with RWF_SYNC", name);
		iocb.aio_rw_flags = 0;

		/* Fields come before the file's own refusal. */
		iocb.aio_fildes = pair[0];
		expect_submit(ctx, &iocb, -EINVAL, "%s of a pipe", name);
		iocb.u.c.offset = 1;
		expect_submit(ctx, &iocb, -EINVAL, "%s of a pipe with an offset", name);
	}

	io_prep_poll(&iocb, pair[0], POLLIN);
	expect_submit(ctx, &iocb, 1, "poll");
	iocb.u.c.nbytes = 1;
	expect_submit(ctx, &iocb, -EINVAL, "poll with a count");
	iocb.u.c.nbytes = 0;
	iocb.u.c.offset = 1;
	expect_submit(ctx, &iocb, -EINVAL, "poll with an offset");
	iocb.u.c.offset = 0;
	iocb.aio_rw_flags = 1;
	expect_submit(ctx, &iocb, -EINVAL, "poll with RWF flags");
	iocb.aio_rw_flags = 0;
	iocb.u.c.buf = (void *)0x10001ul;
	expect_submit(ctx, &iocb, -EINVAL, "poll mask 0x10001");
	iocb.u.c.buf = (void *)(1ul << 32 | POLLIN);
	expect_submit(ctx, &iocb, -EINVAL, "poll mask 1 << 32 | POLLIN");
	iocb.u.c.buf = (void *)(1ul << 63 | POLLIN);
	expect_submit(ctx, &iocb, -EINVAL, "poll mask 1 << 63 | POLLIN");
	iocb.u.c.buf = (void *)(uintptr_t)(0x80000000u | POLLIN);
	expect_submit(ctx, &iocb, -EINVAL, "poll mask EPOLLET | POLLIN");
	iocb.u.c.buf = (void *)(uintptr_t)(0x40000000u | POLLIN);
	expect_submit(ctx, &iocb, -EINVAL, "poll mask EPOLLONESHOT | POLLIN");
	iocb.u.c.buf = (void *)(uintptr_t)(0xf000 | POLLIN);
	expect_submit(ctx, &iocb, 1, "poll with unknown bits");
	io_prep_poll(&iocb, pair[0], POLLIN);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = -1;
	expect_submit(ctx, &iocb, 1, "poll with a bad priority");
	end_context(ctx);
	return finish();
}
