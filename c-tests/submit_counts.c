/*
 * Description: nr is checked before and after the context, 0 submits nothing, and a batch stops
 * at an error.
 */
#include "check.h"

#include <limits.h>

static io_context_t ctx;

static void events(int want)
{
	expect(in_ring(ctx), want, "events");
	drain(ctx);
}

int main(void)
{
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb good, bad, *list[8];
	struct io_event event;
	char byte;

	ctx = new_context(16);
	io_prep_pread(&good, file, &byte, 1, 0);
	io_prep_pread(&bad, -1, &byte, 1, 0);
	for (size_t i = 0; i < COUNT(list); i++)
		list[i] = &good;

	expect(io_submit(ctx, -1, list), -EINVAL, "nr -1");
	expect(io_submit(ctx, LONG_MIN, list), -EINVAL, "nr LONG_MIN");
	expect(io_submit(ctx, -1, NULL), -EINVAL, "nr -1, NULL");
	expect(io_submit(NULL, -1, NULL), -EINVAL, "nr -1, NULL, no context");
	expect(io_submit(ctx, 0, list), 0, "nr 0");
	expect(io_submit(ctx, 0, NULL), 0, "nr 0, NULL");
	expect(io_submit(ctx, 0, KERNEL_ADDRESS), 0, "nr 0, kernel address");
	expect(io_submit(NULL, 0, NULL), -EINVAL, "nr 0, no context");
	events(0);
	expect(io_submit(ctx, 1, NULL), -EFAULT, "nr 1, NULL");
	expect(io_submit(NULL, 1, NULL), -EINVAL, "nr 1, NULL, no context");
	expect(io_submit(ctx, 8, list), 8, "nr 8");
	events(8);

	/* The error of the second and later ones is lost; the rest is not looked at. */
	for (int position = 0; position < 8; position += 3) {
		list[position] = &bad;
		expect(io_submit(ctx, 8, list), position ? position : -EBADF, "bad descriptor at %d",
		       position);
		events(position);
		list[position] = NULL;
		expect(io_submit(ctx, 8, list), position ? position : -EFAULT, "NULL at %d",
		       position);
		events(position);
		list[position] = &good;
	}
	list[2] = list[5] = &bad;
	expect(io_submit(ctx, 8, list), 2, "bad descriptors at 2 and 5");
	expect(io_submit(ctx, 6, list + 2), -EBADF, "from 2 on");
	expect(io_submit(ctx, 5, list + 3), 2, "from 3 on");
	events(4);

	/* An error in the event is none of the submission. */
	io_prep_pread(&bad, file, NULL, 1, 0);
	expect(io_submit(ctx, 8, list), 8, "bad buffers at 2 and 5");
	for (int i = 0; i < 8; i++) {
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		expect(event_res(&event), i == 2 || i == 5 ? -EFAULT : 1, "event %d", i);
	}
	end_context(ctx);
	return finish();
}
