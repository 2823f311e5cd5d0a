/*
 * Description: io_queue_init refuses n <= 0 without looking at ctxp, and else stores 0 there
 * first.
 */
#include "check.h"

#include <limits.h>

int main(void)
{
	io_context_t ctx = (io_context_t)0x1234;

	expect(io_queue_init(0, &ctx), -EINVAL, "0 events");
	CHECK(ctx == (io_context_t)0x1234);
	expect(io_queue_init(-1, &ctx), -EINVAL, "-1 events");
	CHECK(ctx == (io_context_t)0x1234);
	expect(io_queue_init(INT_MIN, &ctx), -EINVAL, "INT_MIN events");
	CHECK(ctx == (io_context_t)0x1234);
	expect(io_queue_init(0, NULL), -EINVAL, "0 events, NULL");
	expect(io_queue_init(-5, KERNEL_ADDRESS), -EINVAL, "-5 events, kernel address");

	expect(io_queue_init(INT_MAX, &ctx), -EINVAL, "INT_MAX events");
	CHECK(ctx == 0);
	ctx = (io_context_t)0x1234;
	expect(io_queue_init(0x400000, &ctx), -EAGAIN, "0x400000 events");
	CHECK(ctx == 0);

	ctx = (io_context_t)0x1234;
	int error;
	long end = now_ms() + 15000;
	while ((error = io_queue_init(8, &ctx)) == -EAGAIN && now_ms() < end)
		sleep_ms(10);
	expect(error, 0, "8 events, *ctxp not 0");
	CHECK(ctx != 0 && ctx != (io_context_t)0x1234);
	expect(io_queue_release(ctx), 0, "io_queue_release");
	expect(io_queue_release(ctx), -EINVAL, "io_queue_release again");
	expect(io_queue_release(NULL), -EINVAL, "io_queue_release(NULL)");
	return finish();
}
