/* Description: head and tail wrap at nr, whoever moves head, and events keep their order. */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct ring *ring = ring_of(ctx);
	unsigned long next = 0, wrong = 0;
	unsigned wraps = 0, before = 0;
	char byte;

	for (unsigned long sent = 0; sent < 6 * (unsigned long)ring->nr; sent += 3) {
		struct iocb iocb[3], *list[3];
		struct io_event events[3];

		for (int i = 0; i < 3; i++) {
			io_prep_pread(&iocb[i], file, &byte, 1, 0);
			iocb[i].data = (void *)(sent + i);
			list[i] = &iocb[i];
		}
		if (io_submit(ctx, 3, list) != 3)
			fail("io_submit");
		/* By turns. */
		if (sent % 2)
			CHECK(reap(ctx, 3, 3, events) == 3);
		else
			for (int i = 0; i < 3; i++)
				CHECK(take_from_ring(ctx, &events[i]));
		for (int i = 0; i < 3; i++)
			wrong += events[i].data != (void *)next++;
		CHECK(ring->head < ring->nr && ring->tail < ring->nr);
		CHECK(ring->head == ring->tail);
		wraps += ring->tail < before;
		before = ring->tail;
	}
	expect(wrong, 0, "events out of order");
	fact("wrapped: %s", wraps >= 5 ? "yes" : "no");
	CHECK(wraps >= 5);
	end_context(ctx);
	return finish();
}
