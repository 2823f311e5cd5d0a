/* Description: only read, write, sync and poll opcodes exist; the no-op is not one of them. */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb;
	char byte;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	for (int opcode = 4; opcode < 70; opcode++) {
		if (opcode == IO_CMD_POLL || opcode == IO_CMD_PREADV || opcode == IO_CMD_PWRITEV)
			continue;
		iocb.aio_lio_opcode = (short)opcode;
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d", opcode);
	}
	static const int others[] = { 99, 255, 256, 257, 0x100 + IO_CMD_PREADV, 0x7fff, -1, -32768 };
	for (size_t i = 0; i < COUNT(others); i++) {
		iocb.aio_lio_opcode = (short)others[i];
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d", others[i]);
	}
	/* An empty iocb reads 0 bytes from descriptor 0. */
	memset(&iocb, 0, sizeof(iocb));
	expect_result(ctx, &iocb, 0, "all zeroes");
	end_context(ctx);
	return finish();
}
