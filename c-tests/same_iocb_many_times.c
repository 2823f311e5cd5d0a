/* Description: one iocb may be in flight, and in one batch, many times: each time has its event. */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(64);
	int file = scratch_filled("file", 0, 4096, 'x'), direct, pair[2];
	char byte, *aligned = pages(1, PROT_READ | PROT_WRITE);
	struct iocb iocb, *list[20];
	struct io_event events[20];

	direct = scratch_direct("direct", 4096, 'y');
	MUST(pipe2(pair, O_CLOEXEC));
	for (int i = 0; i < 20; i++)
		list[i] = &iocb;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	expect(io_submit(ctx, 20, list), 20, "buffered reads");
	expect(reap(ctx, 20, 20, events), 20, "reaped");
	for (int i = 0; i < 20; i++)
		CHECK(event_is_for(&events[i], &iocb) && event_res(&events[i]) == 1);

	io_prep_pread(&iocb, direct, aligned, PAGE, 0);
	expect(io_submit(ctx, 20, list), 20, "direct reads");
	expect(reap(ctx, 20, 20, events), 20, "reaped");
	for (int i = 0; i < 20; i++)
		CHECK(event_is_for(&events[i], &iocb) && event_res(&events[i]) == (long)PAGE);

	io_prep_fsync(&iocb, file);
	expect(io_submit(ctx, 20, list), 20, "fsyncs");
	expect(reap(ctx, 20, 20, events), 20, "reaped");
	for (int i = 0; i < 20; i++)
		CHECK(event_is_for(&events[i], &iocb) && event_res(&events[i]) == 0);

	io_prep_poll(&iocb, pair[0], POLLIN);
	expect(io_submit(ctx, 20, list), 20, "polls");
	expect(in_ring(ctx), 0, "events before the pipe is written");
	MUST(write(pair[1], "x", 1));
	expect(reap(ctx, 20, 20, events), 20, "reaped");
	for (int i = 0; i < 20; i++)
		CHECK(event_is_for(&events[i], &iocb) && (events[i].res & POLLIN));

	/* Between two submissions it may change. */
	for (int i = 0; i < 20; i++) {
		io_prep_pread(&iocb, direct, aligned, PAGE, 0);
		iocb.data = (void *)(uintptr_t)i;
		CHECK(submit(ctx, &iocb) == 1);
	}
	expect(reap(ctx, 20, 20, events), 20, "reaped");
	unsigned seen = 0;
	for (int i = 0; i < 20; i++) {
		CHECK(events[i].obj == &iocb && event_res(&events[i]) == (long)PAGE);
		seen |= 1u << (uintptr_t)events[i].data;
	}
	fact("data values seen: %x", seen);
	CHECK(seen == (1u << 20) - 1);
	end_context(ctx);
	return finish();
}
