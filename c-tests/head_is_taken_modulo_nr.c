/*
 * Description: head is the program's to write: it is reduced modulo nr, and garbage does no
 * harm.
 */
#include "check.h"

int main(void)
{
	unsigned garbage[] = { 0xffffffff, 0x80000000, 0x7fffffff, 12345 };
	io_context_t ctx = new_context(8);
	struct ring *ring = ring_of(ctx);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb[3], *list[3];
	struct io_event events[4];
	char byte;

	for (int i = 0; i < 3; i++) {
		io_prep_pread(&iocb[i], file, &byte, 1, 0);
		list[i] = &iocb[i];
	}
	for (unsigned times = 1; times <= 1000; times *= 10) {
		expect(io_submit(ctx, 3, list), 3, "submitted");
		ring->head += times * ring->nr;
		expect(reap(ctx, 1, 1, events), 1, "reaped with head + %u nr", times);
		CHECK(event_is_for(&events[0], &iocb[0]));
		expect(reap(ctx, 2, 4, events), 2, "the rest");
		CHECK(event_is_for(&events[0], &iocb[1]));
		CHECK(event_is_for(&events[1], &iocb[2]));
		CHECK(ring->head == ring->tail);
	}
	/* What lies between such a head and tail are old events: they count as events. */
	for (size_t i = 0; i < COUNT(garbage); i++) {
		unsigned head = ring->head, given = garbage[i];

		/* nr depends on the machine: keep four events away from tail. */
		while ((ring->tail + ring->nr - garbage[i] % ring->nr) % ring->nr < 4)
			garbage[i] -= 10;
		ring->head = garbage[i];
		expect(reap(ctx, 1, 4, events), 4, "reaped with head %x", given);
		CHECK(ring->head == (garbage[i] % ring->nr + 4) % ring->nr);
		ring->head = head;
		expect(drain(ctx), 0, "reaped with head as it was");
	}
	for (size_t i = 0; i < COUNT(garbage); i++) {
		unsigned head = ring->head;

		ring->head = garbage[i];
		expect(io_submit(ctx, 3, list), 3, "submitted, head number %zu", i);
		ring->head = head;
		expect(reap(ctx, 3, 4, events), 3, "reaped");
		CHECK(event_is_for(&events[2], &iocb[2]));
	}
	end_context(ctx);
	return finish();
}
