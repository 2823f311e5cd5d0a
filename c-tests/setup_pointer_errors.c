/* Description: a bad ctxp is -EFAULT, and that comes before -EINVAL; *ctxp must be 0. */
#include "check.h"

static const io_context_t zero_in_rodata;

int main(void)
{
	io_context_t busy = (io_context_t)0x1234;
	char *edge = at_edge(8);
	io_context_t *read_only = pages(1, PROT_READ | PROT_WRITE);
	char bytes[2 * sizeof(io_context_t)] = { 0 };
	io_context_t odd;

	expect(io_setup(1, NULL), -EFAULT, "NULL");
	expect(io_setup(1, KERNEL_ADDRESS), -EFAULT, "kernel address");
	expect(io_setup(1, NO_ADDRESS), -EFAULT, "non-canonical address");
	expect(io_setup(1, (io_context_t *)-8l), -EFAULT, "-8");
	expect(io_setup(1, (io_context_t *)-1l), -EFAULT, "-1");
	expect(io_setup(1, unmapped()), -EFAULT, "unmapped");
	expect(io_setup(1, pages(1, PROT_NONE)), -EFAULT, "PROT_NONE");
	expect(io_setup(1, (io_context_t *)(edge + 4)), -EFAULT, "half of it unmapped");
	expect(io_setup(1, (io_context_t *)&zero_in_rodata), -EFAULT, "0 in .rodata");

	expect(io_setup(0, NULL), -EFAULT, "NULL, and 0 events");
	expect(io_setup(-1, KERNEL_ADDRESS), -EFAULT, "kernel address, and -1 events");
	expect(io_setup(0x400000, NULL), -EFAULT, "NULL, and too many events");

	expect(io_setup(1, &busy), -EINVAL, "*ctxp is not 0");
	CHECK(busy == (io_context_t)0x1234);
	expect(io_setup(0, &busy), -EINVAL, "*ctxp is not 0, and 0 events");
	expect(io_setup(0x400000, &busy), -EINVAL, "*ctxp is not 0, and too many events");

	*read_only = (io_context_t)1;
	MUST(mprotect(read_only, PAGE, PROT_READ));
	expect(io_setup(1, read_only), -EINVAL, "not 0, in a read-only page");
	CHECK(*read_only == (io_context_t)1);
	expect(io_setup(0, (io_context_t *)&zero_in_rodata), -EINVAL, "0 events, read-only");

	/* Any alignment will do. */
	expect(io_setup(1, (io_context_t *)(bytes + 3)), 0, "misaligned");
	memcpy(&odd, bytes + 3, sizeof(odd));
	end_context(odd);
	expect(io_setup(1, (io_context_t *)edge), 0, "the last 8 bytes of a page");
	end_context(*(io_context_t *)edge);
	return finish();
}
