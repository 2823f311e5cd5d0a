/* Description: whatever is not a context of this process is -EINVAL, and is not touched. */
#include "check.h"

static struct iocb iocb, *list[] = { &iocb };
static char in_data[2 * PAGE] __attribute__((aligned(4096)));

static void stranger(void *address, const char *what)
{
	io_context_t ctx = address;

	expect(io_submit(ctx, 1, list), -EINVAL, "io_submit, %s", what);
	expect(io_submit(ctx, 0, NULL), -EINVAL, "io_submit of nothing, %s", what);
	expect(io_submit(ctx, 1, NULL), -EINVAL, "io_submit of NULL, %s", what);
	expect(io_cancel(ctx, &iocb, NULL), -EINVAL, "io_cancel, %s", what);
	expect(io_destroy(ctx), -EINVAL, "io_destroy, %s", what);
	expect(io_queue_release(ctx), -EINVAL, "io_queue_release, %s", what);
}

/* The system's library reads the ring before io_getevents: only where there is memory. */
static void readable_stranger(void *address, const char *what)
{
	struct timespec zero = { 0, 0 };
	struct io_event event;

	stranger(address, what);
	expect(io_getevents(address, 0, 1, &event, NULL), -EINVAL, "io_getevents, %s", what);
	expect(io_getevents(address, 1, 1, &event, &zero), -EINVAL, "zero timeout, %s", what);
	expect(io_pgetevents(address, 0, 1, &event, NULL, NULL), -EINVAL, "io_pgetevents, %s", what);
	expect(io_queue_wait(address, NULL), -EINVAL, "io_queue_wait, %s", what);
	expect(io_queue_run(address), -EINVAL, "io_queue_run, %s", what);
}

int main(void)
{
	io_context_t ctx = new_context(8), dead = new_context(8);
	int file = scratch_filled("file", 0, 4096, 'x');
	char byte, on_stack[64], *heap = malloc(2 * PAGE);
	struct ring *copy = pages(1, PROT_READ | PROT_WRITE);

	io_prep_pread(&iocb, file, &byte, 1, 0);
	end_context(dead);
	memset(on_stack, 0, sizeof(on_stack));
	memset(heap, 0, 2 * PAGE);

	stranger((void *)-1l, "-1");
	stranger((void *)1, "1");
	stranger((void *)0x1000, "0x1000");
	stranger((void *)0x123456789000, "a random page");
	stranger((void *)0x7ffffffff000, "the last page");
	stranger(KERNEL_ADDRESS, "kernel address");
	stranger(NO_ADDRESS, "non-canonical address");
	stranger((void *)(1ul << 63), "the top bit");
	stranger(unmapped(), "unmapped");
	stranger(pages(1, PROT_NONE), "PROT_NONE");
	stranger(dead, "destroyed");
	readable_stranger(NULL, "NULL");
	readable_stranger(on_stack, "the stack");
	readable_stranger(heap, "the heap");
	readable_stranger(in_data, "data");
	readable_stranger(in_data + 1, "misaligned data");
	readable_stranger((char *)ctx + 1, "a context + 1");
	readable_stranger((char *)ctx + 32, "a context + 32");
	readable_stranger((char *)ctx + 64, "a context + 64");
	readable_stranger((char *)main, "code");

	/* The magic stays behind: with it the system's library finds the copied ring empty. */
	memcpy(copy, ctx, PAGE);
	copy->magic = 0;
	readable_stranger(copy, "a copy of a ring");

	expect_result(ctx, &iocb, 1, "read on the context after all this");
	end_context(ctx);
	stranger(ctx, "destroyed after use");
	return finish();
}
