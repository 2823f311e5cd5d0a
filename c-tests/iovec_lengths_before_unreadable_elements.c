/*
 * Description: iovec arrays are read element by element: a negative length is found before an
 * element that cannot be read, and a bad address only after all of them.
 */
#include "check.h"

static io_context_t ctx;
static int file;

static void refused(const struct iovec *array, unsigned long count, int want, const char *what)
{
	static const int opcodes[] = { IO_CMD_PREADV, IO_CMD_PWRITEV };

	for (size_t i = 0; i < COUNT(opcodes); i++) {
		struct iocb iocb;

		io_prep_preadv(&iocb, file, array, 0, 0);
		iocb.aio_lio_opcode = (short)opcodes[i];
		iocb.u.c.nbytes = count;
		expect_submit(ctx, &iocb, want, "%s, %s", i ? "pwritev" : "preadv", what);
	}
}

int main(void)
{
	const size_t size = sizeof(struct iovec);
	struct iovec *two = (struct iovec *)at_edge(2 * size);
	struct iovec *one = two + 1;
	char *half = at_edge(size / 2), *most = at_edge(size + size / 2);
	char byte, *user_end = (char *)0x7fffffffe000ul;
	struct iovec good = { &byte, 1 }, negative = { &byte, -1ul };
	struct iovec kernel = { KERNEL_ADDRESS, 1 }, kernel_negative = { KERNEL_ADDRESS, -1ul };

	file = scratch_filled("file", 0, 4096, 'x');
	ctx = new_context(8);

	two[0] = negative;
	two[1] = good;
	if (preadv(file, two, 3, 0) == -1 && errno == EFAULT)
		skip("this kernel reads the whole array first");
	refused(two, 3, -EINVAL, "negative, good, unreadable");
	refused(two, 9, -EINVAL, "negative, good, 7 unreadable");
	refused(two, 1024, -EINVAL, "negative, good, 1022 unreadable");
	refused(two, 1025, -EINVAL, "negative, and too many");
	two[0] = good;
	two[1] = negative;
	refused(two, 3, -EINVAL, "good, negative, unreadable");
	refused(two, 1024, -EINVAL, "good, negative, 1022 unreadable");
	two[1] = good;
	refused(two, 3, -EFAULT, "good, good, unreadable");
	two[0] = kernel;
	two[1] = negative;
	refused(two, 3, -EINVAL, "kernel address, negative, unreadable");
	two[1] = good;
	refused(two, 3, -EFAULT, "kernel address, good, unreadable");
	*one = kernel_negative;
	refused(one, 1, -EINVAL, "kernel address with a negative length");
	refused(one, 2, -EINVAL, "kernel address with a negative length, unreadable");

	/* An element is read as a whole before its length counts. */
	memset(half, 0xff, size / 2);
	refused((struct iovec *)half, 1, -EFAULT, "length unreadable");
	refused((struct iovec *)half, 2, -EFAULT, "length unreadable, then another");
	memset(most, 0xff, size + size / 2);
	refused((struct iovec *)most, 2, -EINVAL, "negative, half readable");
	memcpy(most, &good, size);
	refused((struct iovec *)most, 2, -EFAULT, "good, half readable");

	/* The array as a whole has to be below the end of user addresses. */
	if (mmap(user_end, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == user_end) {
		two = (struct iovec *)(user_end + PAGE - 2 * size);
		two[0] = two[1] = negative;
		refused(two, 2, -EINVAL, "the last two elements of user memory, negative");
		refused(two, 3, -EFAULT, "negative, beyond user memory");
		two[0] = two[1] = good;
		refused(two, 3, -EFAULT, "good, beyond user memory");
	}
	end_context(ctx);
	return finish();
}
