/* Description: a direct read with RWF_NOWAIT does not write back dirty data: -EAGAIN in the
 * event. */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	int direct = scratch_direct("file", 8192, 'x');
	int plain = MUST(open("file", O_RDWR | O_CLOEXEC));
	char *aligned = pages(1, PROT_READ | PROT_WRITE);
	struct iocb iocb;

	MUST(pwrite(plain, "dirty", 5, 0));
	io_prep_pread(&iocb, direct, aligned, PAGE, 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	tell_outcome(ctx, &iocb, "with RWF_NOWAIT");
	iocb.aio_rw_flags = 0;
	expect_result(ctx, &iocb, PAGE, "without");
	CHECK(memcmp(aligned, "dirtyx", 6) == 0);
	end_context(ctx);
	return finish();
}
