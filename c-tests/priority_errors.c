/* Description: aio_reqprio with its flag must be a priority that the caller may ask for. */
#include "check.h"

#include <sys/prctl.h>

enum { NONE, RT, BE, IDLE };

static short priority(int class, int level)
{
	return (short)(class << 13 | level);
}

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb;
	char byte;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = priority(NONE, 0);
	expect_result(ctx, &iocb, 1, "none, level 0");
	iocb.aio_reqprio = priority(BE, 0);
	expect_result(ctx, &iocb, 1, "best effort, level 0");
	iocb.aio_reqprio = priority(BE, 7);
	expect_result(ctx, &iocb, 1, "best effort, level 7");
	iocb.aio_reqprio = priority(IDLE, 0);
	expect_result(ctx, &iocb, 1, "idle");
	iocb.aio_reqprio = priority(IDLE, 7);
	expect_result(ctx, &iocb, 1, "idle, level 7");

	for (int level = 1; level <= 7; level += 3) {
		iocb.aio_reqprio = priority(NONE, level);
		expect_submit(ctx, &iocb, -EINVAL, "none, level %d", level);
	}
	for (int class = 4; class < 8; class++) {
		iocb.aio_reqprio = priority(class, 0);
		expect_submit(ctx, &iocb, -EINVAL, "class %d", class);
	}
	iocb.aio_reqprio = -1;
	expect_submit(ctx, &iocb, -EINVAL, "-1");

	/* The same for every kind of read and write. */
	struct iovec iov = { &byte, 1 };
	io_prep_pwrite(&iocb, file, &byte, 1, 0);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = -1;
	expect_submit(ctx, &iocb, -EINVAL, "pwrite, -1");
	io_prep_preadv(&iocb, file, &iov, 1, 0);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = -1;
	expect_submit(ctx, &iocb, -EINVAL, "preadv, -1");
	io_prep_pwritev(&iocb, file, &iov, 1, 0);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = -1;
	expect_submit(ctx, &iocb, -EINVAL, "pwritev, -1");

	/* Real time is for root. Drop what allows it, for this thread. */
	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = priority(RT, 4);
	tell_outcome(ctx, &iocb, "real time");
	if (geteuid() == 0) {
		MUST(prctl(PR_SET_KEEPCAPS, 0));
		MUST(syscall(SYS_setresuid, 65534, 65534, 65534));
	}
	expect_submit(ctx, &iocb, -EPERM, "real time, without capabilities");
	iocb.aio_reqprio = priority(BE, 4);
	expect_result(ctx, &iocb, 1, "best effort, without capabilities");
	iocb.aio_reqprio = priority(IDLE, 0);
	expect_result(ctx, &iocb, 1, "idle, without capabilities");
	end_context(ctx);
	return finish();
}
