/*
 * Description: -EAGAIN of a full context comes before -EBADF, and after what is wrong with the
 * iocb itself.
 */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(1);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb, *list[] = { &iocb, &iocb, &iocb };
	unsigned events;
	char byte;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	while (submit(ctx, &iocb) == 1)
		;
	events = in_ring(ctx);
	iocb.key = 5;
	expect(submit(ctx, &iocb), -EAGAIN, "good");
	expect(iocb.key, 5, "its key");
	expect(io_submit(ctx, 3, list), -EAGAIN, "three good ones");
	iocb.aio_fildes = -1;
	expect(submit(ctx, &iocb), -EAGAIN, "descriptor -1");
	io_set_eventfd(&iocb, -1);
	expect(submit(ctx, &iocb), -EAGAIN, "resfd -1");
	iocb.aio_lio_opcode = 99;
	expect(submit(ctx, &iocb), -EAGAIN, "opcode 99");
	iocb.u.c.__pad3 = 1;
	expect(submit(ctx, &iocb), -EINVAL, "reserved2");
	iocb.u.c.__pad3 = 0;
	iocb.u.c.nbytes = -1ul;
	expect(submit(ctx, &iocb), -EINVAL, "nbytes -1");
	list[0] = NULL;
	expect(io_submit(ctx, 1, list), -EFAULT, "NULL");
	expect(io_submit(ctx, 1, NULL), -EFAULT, "array NULL");
	expect(io_submit(ctx, 0, NULL), 0, "nothing");
	expect(io_submit(ctx, -1, NULL), -EINVAL, "nr -1");
	expect(in_ring(ctx) - events, 0, "events more");

	/* One slot for two requests. */
	struct io_event event;
	CHECK(reap(ctx, 1, 1, &event) == 1);
	io_prep_pread(&iocb, file, &byte, 1, 0);
	list[0] = &iocb;
	expect(io_submit(ctx, 3, list), 1, "three good ones, one slot free");
	end_context(ctx);
	return finish();
}
