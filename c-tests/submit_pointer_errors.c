/* Description: io_submit reads the array and the iocbs safely, wherever the pointers lead. */
#include "check.h"

static io_context_t ctx;

/* io_submit(ctx, 1, array) */
static void array(void *address, int want, const char *what)
{
	expect(io_submit(ctx, 1, address), want, "array: %s", what);
	CHECK(in_ring(ctx) == 0);
}

/* io_submit(ctx, 1, { iocb }) */
static void iocb(void *address, int want, const char *what)
{
	struct iocb *list[] = { address };

	expect(io_submit(ctx, 1, list), want, "iocb: %s", what);
	if (in_ring(ctx) != (want == 1))
		fail("%s: events in the ring", what);
	drain(ctx);
}

int main(void)
{
	int file = scratch_filled("file", 0, 4096, 'x');
	char byte, space[2 * sizeof(struct iocb)];
	struct iocb good, *list[2] = { &good, &good };
	char *edge = at_edge(sizeof(struct iocb));

	ctx = new_context(16);
	io_prep_pread(&good, file, &byte, 1, 0);

	array(NULL, -EFAULT, "NULL");
	array((void *)8, -EFAULT, "8");
	array(KERNEL_ADDRESS, -EFAULT, "kernel address");
	array(NO_ADDRESS, -EFAULT, "non-canonical address");
	array((void *)-8l, -EFAULT, "-8");
	array((void *)-1l, -EFAULT, "-1");
	array((void *)0x7ffffffff000, -EFAULT, "the end of user space");
	array((void *)0x7fffffffeffc, -EFAULT, "across the end of user space");
	array(unmapped(), -EFAULT, "unmapped");
	array(pages(1, PROT_NONE), -EFAULT, "PROT_NONE");
	array(edge + 60, -EFAULT, "half an element is mapped");
	array(pages(1, PROT_READ), -EFAULT, "zeroes, read-only: a NULL iocb");

	iocb(NULL, -EFAULT, "NULL");
	iocb((void *)1, -EFAULT, "1");
	iocb(KERNEL_ADDRESS, -EFAULT, "kernel address");
	iocb(NO_ADDRESS, -EFAULT, "non-canonical address");
	iocb((void *)-64l, -EFAULT, "-64");
	iocb((void *)-1l, -EFAULT, "-1");
	iocb((void *)0x7fffffffeff0, -EFAULT, "across the end of user space");
	iocb(unmapped(), -EFAULT, "unmapped");
	iocb(pages(1, PROT_NONE), -EFAULT, "PROT_NONE");
	iocb(pages(1, PROT_WRITE), 1, "PROT_WRITE alone: zeroes read descriptor 0");

	/* All that counts is mapped, only the last byte is not. */
	memcpy(edge + 1, &good, sizeof(good) - 1);
	iocb(edge + 1, -EFAULT, "63 bytes mapped");
	iocb(edge + 32, -EFAULT, "32 bytes mapped");
	memcpy(edge, &good, sizeof(good));
	iocb(edge, 1, "the last 64 bytes of a page");

	/* Alignment does not matter, to either. */
	for (int shift = 1; shift < 8; shift += 3) {
		memcpy(space + shift, &good, sizeof(good));
		iocb(space + shift, 1, "misaligned");
		memcpy(space + shift, list, sizeof(list));
		expect(io_submit(ctx, 2, (struct iocb **)(space + shift)), 2, "misaligned array");
		drain(ctx);
	}

	/* Across a page boundary with both pages mapped. */
	char *two = pages(2, PROT_READ | PROT_WRITE);
	memcpy(two + PAGE - 20, &good, sizeof(good));
	iocb(two + PAGE - 20, 1, "across two pages");
	MUST(mprotect(two, PAGE, PROT_NONE));
	iocb(two + PAGE - 20, -EFAULT, "across two pages, the first PROT_NONE");
	array(two + PAGE - 4, -EFAULT, "across two pages, the first PROT_NONE");

	/* Memory of a file beyond its end is mapped and cannot be read. */
	char *beyond = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(beyond != MAP_FAILED);
	array(beyond + PAGE, -EFAULT, "beyond the end of a file");
	iocb(beyond + PAGE, -EFAULT, "beyond the end of a file");
	end_context(ctx);
	return finish();
}
