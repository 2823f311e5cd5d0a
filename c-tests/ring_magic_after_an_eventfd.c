/* not: pool: the pool fills the ring by itself, and only polls need somebody in the background */
/* Description: from the first direct read with an eventfd on, the magic in the ring is set, and
 * polls without an eventfd come by themselves too. */
#include "pending.h"

#define MAGIC 0xa10a10a1u

int main(void)
{
	io_context_t ctx = new_context(8);
	int file = scratch_direct("file", PAGE, 'f'), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	struct io_event event;
	struct iocb iocb;

	io_prep_pread(&iocb, file, buffer, PAGE, 0);
	io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	expect(take_counts(resfd, 1), 1, "count");
	CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocb));
	expect(ring_of(ctx)->magic == MAGIC, 1, "magic");

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	feed(channel.out);
	EVENTUALLY(in_ring(ctx) == 1);
	CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocb));
	expect(event_res(&event) & POLLIN, POLLIN, "poll");
	expect(ring_of(ctx)->magic == MAGIC, 1, "magic");
	end_context(ctx);
	return finish();
}
