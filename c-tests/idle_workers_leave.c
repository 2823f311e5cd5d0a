/* only: pool: the workers of the kernel are not ours, nor is when they leave */
/* Description: workers that have nothing to do leave, though the context stays; and come back. */
#include "check.h"

static int threads(void)
{
	/* Without "." and "..". */
	return entries("/proc/self/task") - 2;
}

int main(void)
{
	int file = scratch_filled("file", 0, PAGE, 'o');
	io_context_t ctx = new_context(4);
	struct io_event event;
	struct iocb iocb;

	expect(threads(), 1, "threads before");
	for (int round = 0; round < 2; round++) {
		io_prep_fsync(&iocb, file);
		expect(submit(ctx, &iocb), 1, "submitted");
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		CHECK(threads() > 1);
		EVENTUALLY(threads() == 1);
		expect(threads(), 1, "threads after a while");
	}
	end_context(ctx);
	return finish();
}
