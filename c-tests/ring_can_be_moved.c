/*
 * Description: after mremap of the ring the new address is the context, and the old one a
 * stranger.
 */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(8), moved;
	size_t size = (ring_of(ctx)->nr + 1) * sizeof(struct io_event);
	int file = scratch_filled("file", 0, 4096, 'x'), pair[2];
	char byte, *target = pages(size / PAGE, PROT_NONE);
	struct iocb iocb, wait;
	struct io_event event;

	MUST(pipe2(pair, O_CLOEXEC));
	io_prep_pread(&iocb, file, &byte, 1, 0);
	io_prep_poll(&wait, pair[0], POLLIN);
	expect(submit(ctx, &iocb), 1, "read submitted");
	expect(submit(ctx, &wait), 1, "poll submitted");

	moved = mremap(ctx, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	if (moved == MAP_FAILED)
		die("mremap");
	expect(reap(moved, 1, 1, &event), 1, "reaped after the move");
	CHECK(event_is_for(&event, &iocb));
	expect_result(moved, &iocb, 1, "read after the move");
	MUST(write(pair[1], "x", 1));
	expect(reap(moved, 1, 1, &event), 1, "poll reaped after the move");
	CHECK(event_is_for(&event, &wait) && (event.res & POLLIN));
	expect(submit(ctx, &iocb), -EINVAL, "io_submit at the old address");
	expect(io_destroy(ctx), -EINVAL, "io_destroy at the old address");
	end_context(moved);
	expect(io_destroy(moved), -EINVAL, "io_destroy again");
	return finish();
}
