/* Description: reserved2 must be 0 and nbytes not negative, whatever the operation. */
#include "check.h"

int main(void)
{
	static const short opcodes[] = { IO_CMD_PREAD,	IO_CMD_PWRITE, IO_CMD_FSYNC, IO_CMD_FDSYNC,
					 IO_CMD_POLL,	IO_CMD_NOOP,   IO_CMD_PREADV, IO_CMD_PWRITEV };
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb;
	char byte = 0;

	for (size_t i = 0; i < COUNT(opcodes); i++) {
		io_prep_pread(&iocb, file, &byte, 1, 0);
		iocb.aio_lio_opcode = opcodes[i];
		iocb.u.c.__pad3 = 1;
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d, reserved2 1", opcodes[i]);
		iocb.u.c.__pad3 = -1;
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d, reserved2 -1", opcodes[i]);
		iocb.u.c.__pad3 = 1ll << 63;
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d, reserved2 1 << 63", opcodes[i]);
		iocb.u.c.__pad3 = 0;
		iocb.u.c.nbytes = -1ul;
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d, nbytes -1", opcodes[i]);
		iocb.u.c.nbytes = 1ul << 63;
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d, nbytes 1 << 63", opcodes[i]);
	}
	expect(lseek(file, 0, SEEK_END), 4096, "size of the file");
	end_context(ctx);
	return finish();
}
