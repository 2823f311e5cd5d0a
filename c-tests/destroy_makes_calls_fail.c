/* Description: after io_destroy every call with the context is -EINVAL. */
#include "pending.h"

static long raw(long got)
{
	return got == -1 ? -errno : got;
}

int main(void)
{
	io_context_t ctx = new_context(4);
	struct timespec zero = { 0, 0 };
	struct io_event event;
	struct iocb iocb = { 0 }, *list[] = { &iocb };

	io_prep_poll(&iocb, (int)MUST(eventfd(0, 0)), POLLIN);
	end_context(ctx);
	expect(io_submit(ctx, 1, list), -EINVAL, "io_submit");
	expect(io_submit(ctx, 0, NULL), -EINVAL, "io_submit of nothing");
	expect(io_submit(ctx, -1, NULL), -EINVAL, "io_submit of -1");
	expect(io_cancel(ctx, &iocb, &event), -EINVAL, "io_cancel");
	expect(io_cancel(ctx, NULL, &event), -EFAULT, "io_cancel of NULL");
	expect(io_destroy(ctx), -EINVAL, "io_destroy");
	/* The system's io_getevents reads the ring, which is gone. */
	expect(raw(syscall(SYS_io_getevents, ctx, 0l, 1l, &event, NULL)), -EINVAL, "io_getevents");
	expect(raw(syscall(SYS_io_getevents, ctx, 1l, 1l, &event, &zero)), -EINVAL,
	       "io_getevents, zero timeout");
	expect(raw(syscall(SYS_io_getevents, ctx, 1l, 1l, &event, KERNEL_ADDRESS)), -EFAULT,
	       "io_getevents, bad timeout");
	expect(raw(syscall(SYS_io_pgetevents, ctx, 1l, 1l, &event, &zero, NULL)), -EINVAL,
	       "io_pgetevents");
	return finish();
}
