/* not: kernel: whoever calls takes completions, unless an eventfd says otherwise */
/* not: uring: whoever calls takes completions, unless an eventfd says otherwise */
/*
 * Description: events appear in the ring, and are taken from it, without any call after
 * io_submit.
 */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 65536, 'x');
	int direct = scratch_direct("direct", 65536, 'y');
	char *aligned = pages(4, PROT_READ | PROT_WRITE);
	char buffer[100];
	struct iocb read, sync, dio;
	struct io_event event;

	io_prep_pread(&read, file, buffer, sizeof(buffer), 50);
	read.data = &buffer;
	expect(submit(ctx, &read), 1, "buffered read submitted");
	expect(in_ring(ctx), 1, "events at once");
	CHECK(take_from_ring(ctx, &event));
	CHECK(event_is_for(&event, &read));
	expect(event_res(&event), sizeof(buffer), "res");
	CHECK(filled_with(buffer, 'x', sizeof(buffer)));

	io_prep_fsync(&sync, file);
	expect(submit(ctx, &sync), 1, "fsync submitted");
	EVENTUALLY(in_ring(ctx) == 1);
	CHECK(take_from_ring(ctx, &event));
	CHECK(event_is_for(&event, &sync));
	expect(event_res(&event), 0, "res");

	io_prep_pread(&dio, direct, aligned, 4 * PAGE, 0);
	expect(submit(ctx, &dio), 1, "direct read submitted");
	EVENTUALLY(in_ring(ctx) == 1);
	CHECK(take_from_ring(ctx, &event));
	CHECK(event_is_for(&event, &dio));
	expect(event_res(&event), 4 * PAGE, "res");
	CHECK(filled_with(aligned, 'y', 4 * PAGE));

	expect(drain(ctx), 0, "left for io_getevents");
	end_context(ctx);
	return finish();
}
