/*
 * Description: a buffer that reaches out of user space is refused; an unmapped one fails in its
 * event.
 */
#include "check.h"

#define MAX_COUNT 0x7ffff000ul /* what one read or write moves at most */

static io_context_t ctx;
static int file;

static void prepare(struct iocb *iocb, int opcode, void *buffer, unsigned long nbytes)
{
	io_prep_pread(iocb, file, buffer, nbytes, 0);
	iocb->aio_lio_opcode = (short)opcode;
}

static void refused(void *buffer, unsigned long nbytes, const char *what)
{
	struct iocb iocb;

	prepare(&iocb, IO_CMD_PREAD, buffer, nbytes);
	expect_submit(ctx, &iocb, -EFAULT, "pread, %s", what);
	prepare(&iocb, IO_CMD_PWRITE, buffer, nbytes);
	expect_submit(ctx, &iocb, -EFAULT, "pwrite, %s", what);
}

static void completes(void *buffer, unsigned long nbytes, long reads, long writes,
		      const char *what)
{
	struct iocb iocb;

	prepare(&iocb, IO_CMD_PREAD, buffer, nbytes);
	expect_at_once(ctx, &iocb, reads, "pread, %s", what);
	prepare(&iocb, IO_CMD_PWRITE, buffer, nbytes);
	expect_at_once(ctx, &iocb, writes, "pwrite, %s", what);
}

/* Where user space ends depends on the kernel and the processor. */
static void tell(uintptr_t buffer, unsigned long nbytes)
{
	struct iocb iocb;

	prepare(&iocb, IO_CMD_PREAD, (void *)buffer, nbytes);
	tell_outcome(ctx, &iocb, "pread, %lu bytes at %#lx", nbytes, buffer);
	prepare(&iocb, IO_CMD_PWRITE, (void *)buffer, nbytes);
	tell_outcome(ctx, &iocb, "pwrite, %lu bytes at %#lx", nbytes, buffer);
}

int main(void)
{
	static const uintptr_t ends[] = { 0x7ffffffff000, 0x800000000000, 0xfffffffffff000,
					  0x100000000000000 };
	char *big = mmap(NULL, 2ul << 30, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *edge = at_edge(8), *read_only = pages(1, PROT_READ), byte;
	struct iocb iocb;

	if (big == MAP_FAILED)
		die("mmap");
	file = scratch_filled("file", 0, 4096, 'x');
	ctx = new_context(16);

	refused(KERNEL_ADDRESS, 8, "kernel address");
	refused(KERNEL_ADDRESS, 0, "kernel address, 0 bytes");
	refused(KERNEL_ADDRESS, MAX_COUNT, "kernel address, as much as can be");
	refused((void *)-1l, 1, "-1");
	refused((void *)-8l, 16, "-8, 16 bytes");
	refused((void *)-4096l, 8, "-4096");
	refused((void *)(1ul << 63), 1, "1 << 63");
	for (size_t i = 0; i < COUNT(ends); i++) {
		tell(ends[i] - 8, 8);
		tell(ends[i] - 8, 9);
		tell(ends[i] - 8, MAX_COUNT);
		tell(ends[i], 0);
		tell(ends[i], 1);
		tell(ends[i] + 1, 0);
		tell(ends[i] + 1, 1);
	}
	tell((uintptr_t)NO_ADDRESS, 8);
	tell((uintptr_t)NO_ADDRESS, 0);

	completes(NULL, 0, 0, 0, "NULL, 0 bytes");
	completes((void *)1, 0, 0, 0, "1, 0 bytes");
	completes(unmapped(), 0, 0, 0, "unmapped, 0 bytes");
	completes(NULL, 8, -EFAULT, -EFAULT, "NULL");
	completes((void *)1, 1, -EFAULT, -EFAULT, "1");
	completes((void *)0x1000, 4096, -EFAULT, -EFAULT, "0x1000");
	completes(unmapped(), 8, -EFAULT, -EFAULT, "unmapped");
	completes(pages(1, PROT_NONE), 8, -EFAULT, -EFAULT, "PROT_NONE");
	completes(pages(1, PROT_WRITE), 8, 8, 8, "PROT_WRITE alone");
	completes(read_only, 8, -EFAULT, 8, "PROT_READ alone");
	completes(edge, 8, 8, 8, "the last 8 bytes of a page");
	completes(edge, 9, 8, 8, "9 bytes, 8 of them mapped");
	completes(edge, 4096, 8, 8, "4096 bytes, 8 of them mapped");
	completes(edge + 8, 8, -EFAULT, -EFAULT, "8 bytes, none of them mapped");
	/* The last byte before unreadable memory decides nothing. */
	completes(edge - 4096 + 8, 4096, 4096, 4096, "a page up to the edge");

	/* More than can be moved at once: cut, and only then looked at. */
	prepare(&iocb, IO_CMD_PREAD, big, 0x7fffffffffffffff);
	expect_at_once(ctx, &iocb, 4096, "pread, LONG_MAX bytes");
	prepare(&iocb, IO_CMD_PREAD, big, MAX_COUNT + 4096);
	expect_at_once(ctx, &iocb, 4096, "pread, 0x80000000 bytes");

	/* Nothing to read: nobody looks at the buffer. */
	io_prep_pread(&iocb, file, NULL, 8, 4096);
	expect_at_once(ctx, &iocb, 0, "pread at the end of the file, NULL");
	io_prep_pread(&iocb, file, unmapped(), 8, 10000);
	expect_at_once(ctx, &iocb, 0, "pread past the end of the file, unmapped");

	/* A write that fails half-way leaves what it wrote. */
	io_prep_pwrite(&iocb, file, edge, 100, 4096);
	expect_at_once(ctx, &iocb, 8, "pwrite at the end of the file, 8 of 100 bytes mapped");
	expect(lseek(file, 0, SEEK_END), 4104, "size of the file");
	io_prep_pwrite(&iocb, file, NULL, 100, 5000);
	expect_at_once(ctx, &iocb, -EFAULT, "pwrite past the end of the file, NULL");
	/* Some file systems extend the file up to the offset. */
	fact("size of the file: %ld", (long)lseek(file, 0, SEEK_END));

	MUST(pread(file, &byte, 1, 0));
	CHECK(byte == 0);
	end_context(ctx);
	return finish();
}
