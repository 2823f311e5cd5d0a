/* only: uaio: the system's library reads the ring of any context but NULL, and crashes */
/* Description: io_getevents and its kin answer -EINVAL for contexts that are not mapped. */
#include "check.h"

static void stranger(void *ctx, const char *what)
{
	struct timespec zero = { 0, 0 };
	struct io_event event;

	expect(io_getevents(ctx, 0, 1, &event, NULL), -EINVAL, "io_getevents, %s", what);
	expect(io_getevents(ctx, 1, 1, &event, &zero), -EINVAL, "zero timeout, %s", what);
	expect(io_pgetevents(ctx, 0, 1, &event, NULL, NULL), -EINVAL, "io_pgetevents, %s", what);
	expect(io_queue_wait(ctx, &zero), -EINVAL, "io_queue_wait, %s", what);
	expect(io_queue_run(ctx), -EINVAL, "io_queue_run, %s", what);
}

int main(void)
{
	io_context_t dead = new_context(8);

	end_context(dead);
	stranger(dead, "destroyed");
	stranger((void *)-1l, "-1");
	stranger((void *)8, "8");
	stranger((void *)0x7ffffffff000, "the last page");
	stranger(KERNEL_ADDRESS, "kernel address");
	stranger(NO_ADDRESS, "non-canonical address");
	stranger(unmapped(), "unmapped");
	stranger(pages(1, PROT_NONE), "PROT_NONE");
	return finish();
}
