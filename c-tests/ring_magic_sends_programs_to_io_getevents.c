/* not: always: the magic is there from the beginning */
/* only: uaio: the kernel fills every ring by itself and always says so */
/*
 * Description: ring.magic is 0 while events may need a call, so that fio and SPDK make that
 * call.
 */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	int file = scratch_filled("file", 0, 4096, 'x');
	char buffer[16];
	struct iocb iocb;

	expect(ring_of(ctx)->magic, 0, "after io_setup");
	io_prep_pread(&iocb, file, buffer, sizeof(buffer), 0);
	expect_at_once(ctx, &iocb, sizeof(buffer), "buffered read");
	expect(ring_of(ctx)->magic, 0, "after a buffered read");
	io_prep_fsync(&iocb, file);
	expect_result(ctx, &iocb, 0, "fsync");
	expect(ring_of(ctx)->magic, 0, "after an fsync");
	end_context(ctx);
	return finish();
}
