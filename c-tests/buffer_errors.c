/* Description: a buffer that reaches out of user space is refused; an unmapped one fails in its event. */
#include "check.h"

#define TOP 0x7ffffffff000ul /* the end of user space with four-level page tables */

static io_context_t ctx;
static int file;

static void both(struct iocb *iocb, void *buffer, unsigned long nbytes, int opcode)
{
	io_prep_pread(iocb, file, buffer, nbytes, 0);
	iocb->aio_lio_opcode = (short)opcode;
}

static void refused(void *buffer, unsigned long nbytes, const char *what)
{
	struct iocb iocb;

	both(&iocb, buffer, nbytes, IO_CMD_PREAD);
	expect_submit(ctx, &iocb, -EFAULT, "pread, %s", what);
	both(&iocb, buffer, nbytes, IO_CMD_PWRITE);
	expect_submit(ctx, &iocb, -EFAULT, "pwrite, %s", what);
}

static void completes(void *buffer, unsigned long nbytes, long reads, long writes,
		      const char *what)
{
	struct iocb iocb;

	both(&iocb, buffer, nbytes, IO_CMD_PREAD);
	expect_at_once(ctx, &iocb, reads, "pread, %s", what);
	both(&iocb, buffer, nbytes, IO_CMD_PWRITE);
	expect_at_once(ctx, &iocb, writes, "pwrite, %s", what);
}

int main(void)
{
	char *read_only = pages(1, PROT_READ), *edge = at_edge(8), *gap = unmapped();
	struct iocb iocb;
	struct iovec iov[2];
	char byte;

	file = scratch_filled("file", 0, 4096, 'x');
	ctx = new_context(16);

	refused(KERNEL_ADDRESS, 8, "kernel address");
	refused(KERNEL_ADDRESS, 0, "kernel address, 0 bytes");
	refused((void *)-1l, 1, "-1");
	refused((void *)-4096l, 8, "-4096");
	refused(NO_ADDRESS, 8, "non-canonical address");
	refused((void *)(TOP - 4), 8, "across the end of user space");
	refused((void *)TOP, 1, "the end of user space");
	refused(&byte, 0x7fffffffffffffff, "buffer as long as can be, clamped") /* see below */;
	return finish();
}
