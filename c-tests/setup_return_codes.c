/*
 * Description: what io_setup answers for each number of events, and that a refusal leaves *ctxp
 * 0.
 */
#include "check.h"

#include <limits.h>

static void refused(int nr, int want)
{
	io_context_t ctx = 0;

	expect(io_setup(nr, &ctx), want, "io_setup(%d)", nr);
	CHECK(ctx == 0);
}

static void accepted(int nr)
{
	io_context_t ctx = new_context(nr);

	fact("io_setup(%d): 0", nr);
	CHECK(ctx != 0);
	CHECK((uintptr_t)ctx % PAGE == 0);
	end_context(ctx);
}

int main(void)
{
	accepted(1);
	accepted(2);
	accepted(1000);

	refused(0, -EINVAL);
	/* Not negative to io_setup, but far too many. */
	refused(-1, -EINVAL);
	refused(-1000, -EINVAL);
	refused(INT_MAX, -EINVAL);
	refused(0x400001, -EINVAL);
	refused(0x7fffff, -EINVAL);
	/* The number of slots is computed in 32 bits and wraps to something small. */
	refused(INT_MIN, -EAGAIN);
	refused(INT_MIN + 1, -EAGAIN);
	refused(INT_MIN + 1000, -EAGAIN);
	refused(INT_MIN + 0x400000, -EAGAIN);
	refused(INT_MIN + 0x400001, -EINVAL);
	/* Passes the check of the ring's size, and is above any limit. */
	refused(0x400000, -EAGAIN);
	return finish();
}
