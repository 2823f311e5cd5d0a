/*
 * Description: the iovec array is read and checked at submit; the count is what its low 32 bits
 * say.
 */
#include "check.h"

static io_context_t ctx;
static int file;

static void prepare(struct iocb *iocb, int opcode, const void *array, unsigned long count)
{
	io_prep_preadv(iocb, file, array, 0, 0);
	iocb->aio_lio_opcode = (short)opcode;
	iocb->u.c.nbytes = count;
}

static void refused(const void *array, unsigned long count, int want, const char *what)
{
	struct iocb iocb;

	prepare(&iocb, IO_CMD_PREADV, array, count);
	expect_submit(ctx, &iocb, want, "preadv, %s", what);
	prepare(&iocb, IO_CMD_PWRITEV, array, count);
	expect_submit(ctx, &iocb, want, "pwritev, %s", what);
}

static void completes(const void *array, unsigned long count, long want, const char *what)
{
	struct iocb iocb;

	prepare(&iocb, IO_CMD_PREADV, array, count);
	expect_at_once(ctx, &iocb, want, "preadv, %s", what);
	prepare(&iocb, IO_CMD_PWRITEV, array, count);
	expect_at_once(ctx, &iocb, want, "pwritev, %s", what);
}

int main(void)
{
	static struct iovec full[1200];
	static char buffer[4096];
	char *big = mmap(NULL, 2ul << 30, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct iovec good = { buffer, 8 }, two[2];
	struct iovec *edge = (struct iovec *)at_edge(2 * sizeof(*edge));
	char misaligned[3 * sizeof(good)];

	if (big == MAP_FAILED)
		die("mmap");
	file = scratch_filled("file", 0, 4096, 'x');
	ctx = new_context(16);
	for (size_t i = 0; i < COUNT(full); i++)
		full[i] = (struct iovec){ buffer + i, 1 };

	completes(full, 1, 1, "1 buffer");
	completes(full, 8, 8, "8 buffers");
	completes(full, 9, 9, "9 buffers");
	completes(full, 1023, 1023, "1023 buffers");
	completes(full, 1024, 1024, "1024 buffers");
	refused(full, 1025, -EINVAL, "1025 buffers");
	refused(full, 0x7fffffff, -EINVAL, "0x7fffffff buffers");
	refused(full, 0x80000000, -EINVAL, "1 << 31 buffers");
	refused(full, 0xffffffff, -EINVAL, "0xffffffff buffers");
	completes(full, 0, 0, "0 buffers");
	completes(full, 1ul << 32, 0, "1 << 32 buffers");
	completes(full, 1ul << 62, 0, "1 << 62 buffers");
	completes(full, 1ul << 32 | 1, 1, "1 << 32 | 1 buffers");
	completes(full, 1ul << 62 | 1024, 1024, "1 << 62 | 1024 buffers");
	refused(full, 1ul << 32 | 1025, -EINVAL, "1 << 32 | 1025 buffers");
	refused(full, 1ul << 63, -EINVAL, "1 << 63 buffers");

	refused(NULL, 1, -EFAULT, "array NULL");
	refused(KERNEL_ADDRESS, 1, -EFAULT, "array at a kernel address");
	refused(NO_ADDRESS, 1, -EFAULT, "array at a non-canonical address");
	refused(unmapped(), 1, -EFAULT, "array unmapped");
	refused(pages(1, PROT_NONE), 1, -EFAULT, "array PROT_NONE");
	refused((void *)-1l, 1024, -EFAULT, "array at -1");
	refused(NULL, 1025, -EINVAL, "array NULL, 1025 buffers");
	completes(NULL, 0, 0, "array NULL, 0 buffers");
	completes(KERNEL_ADDRESS, 0, 0, "array at a kernel address, 0 buffers");
	completes(NO_ADDRESS, 0, 0, "array at a non-canonical address, 0 buffers");

	edge[0] = edge[1] = good;
	completes(edge, 2, 16, "array up to the edge");
	refused(edge, 3, -EFAULT, "array across the edge");
	refused((char *)edge + 8, 2, -EFAULT, "array half an element across the edge");
	refused(edge, 1024, -EFAULT, "1024 elements, 2 of them mapped");
	memcpy(misaligned + 3, &good, sizeof(good));
	completes(misaligned + 3, 1, 8, "array misaligned");

	two[0] = good;
	two[1] = (struct iovec){ buffer, -1ul };
	refused(two, 2, -EINVAL, "length -1");
	two[1].iov_len = 1ul << 63;
	refused(two, 2, -EINVAL, "length 1 << 63");
	two[0] = two[1];
	refused(two, 1, -EINVAL, "length 1 << 63, alone");

	two[0] = good;
	two[1] = (struct iovec){ KERNEL_ADDRESS, 8 };
	refused(two, 2, -EFAULT, "second buffer at a kernel address");
	two[1].iov_len = 0;
	refused(two, 2, -EFAULT, "second buffer at a kernel address, 0 bytes");
	refused(&two[1], 1, -EFAULT, "one buffer at a kernel address, 0 bytes");
	two[1] = (struct iovec){ (void *)-8l, 8 };
	refused(two, 2, -EFAULT, "second buffer at -8");
	two[0] = (struct iovec){ KERNEL_ADDRESS, 1 };
	two[1] = (struct iovec){ buffer, -1ul };
	refused(two, 2, -EINVAL, "kernel address, then length -1");
	two[0] = (struct iovec){ buffer, -1ul };
	two[1] = (struct iovec){ KERNEL_ADDRESS, 1 };
	refused(two, 2, -EINVAL, "length -1, then kernel address");
	two[0] = (struct iovec){ big, 0x7ffff000 };
	refused(two, 2, -EFAULT, "as much as can be, then kernel address");
	two[1] = (struct iovec){ buffer, -1ul };
	refused(two, 2, -EINVAL, "as much as can be, then length -1");

	two[0] = good;
	two[1] = (struct iovec){ NULL, 0 };
	completes(two, 2, 8, "second buffer NULL, 0 bytes");
	two[1] = (struct iovec){ NULL, 8 };
	completes(two, 2, 8, "second buffer NULL");
	two[1] = (struct iovec){ unmapped(), 8 };
	completes(two, 2, 8, "second buffer unmapped");
	two[0] = (struct iovec){ NULL, 8 };
	two[1] = good;
	completes(two, 2, -EFAULT, "first buffer NULL");
	two[0] = (struct iovec){ at_edge(8), 16 };
	completes(two, 2, 8, "half of the first buffer unmapped");
	two[0] = two[1] = (struct iovec){ NULL, 0 };
	completes(two, 2, 0, "two buffers of 0 bytes");

	/* Together more than can be moved at once. */
	struct iocb iocb;
	two[0] = (struct iovec){ big, 0x7ffff000 };
	two[1] = good;
	prepare(&iocb, IO_CMD_PREADV, two, 2);
	expect_at_once(ctx, &iocb, 4096, "preadv, 0x7ffff008 bytes");
	two[0].iov_len = 0x7fffffffffffffff;
	prepare(&iocb, IO_CMD_PREADV, two, 1);
	expect_at_once(ctx, &iocb, 4096, "preadv, one buffer of LONG_MAX bytes");

	expect(lseek(file, 0, SEEK_END), 4096, "size of the file");
	end_context(ctx);
	return finish();
}
