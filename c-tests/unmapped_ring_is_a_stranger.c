/* only: system: here the library's own view of the ring stays, and the context with it */
/* Description: a program that unmaps the ring has lost the context: every call is -EINVAL. */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(8), other = new_context(8);
	size_t size = (ring_of(ctx)->nr + 1) * sizeof(struct io_event);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb;
	char byte;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	MUST(munmap(ctx, size));
	expect(submit(ctx, &iocb), -EINVAL, "io_submit");
	expect(io_submit(ctx, 0, NULL), -EINVAL, "io_submit of nothing");
	expect(io_cancel(ctx, &iocb, NULL), -EINVAL, "io_cancel");
	expect(io_destroy(ctx), -EINVAL, "io_destroy");

	expect_result(other, &iocb, 1, "read on another context");
	end_context(other);
	return finish();
}
