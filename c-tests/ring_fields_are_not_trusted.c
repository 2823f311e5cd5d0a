/*
 * Description: a program that scribbles over nr, magic and the features does not confuse the
 * library.
 */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct ring *ring = ring_of(ctx), saved = *ring;
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb;
	char byte;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	for (int i = 0; i < 4; i++) {
		unsigned value = i & 1 ? 0xffffffff : 0;

		if (i < 2)
			ring->nr = value ? value : 1;
		ring->magic = value;
		ring->compat_features = value;
		ring->incompat_features = value;
		ring->header_length = value;

		struct io_event event;
		expect(submit(ctx, &iocb), 1, "submitted");
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		CHECK(event_is_for(&event, &iocb));
	}
	ring->nr = saved.nr;
	ring->magic = saved.magic;

	/* The id names the context: without it there is none, and with it there is one again. */
	ring->id = saved.id + 12345;
	expect(submit(ctx, &iocb), -EINVAL, "io_submit with another id");
	expect(io_destroy(ctx), -EINVAL, "io_destroy with another id");
	ring->id = saved.id;
	expect_result(ctx, &iocb, 1, "read with the right id");
	expect(in_ring(ctx), 0, "events left");
	end_context(ctx);
	return finish();
}
