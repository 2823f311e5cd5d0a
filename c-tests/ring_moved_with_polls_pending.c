/* Description: a ring that is moved while polls are pending stays the same context: they can be
 * waited for, cancelled and destroyed at the new address, and moved again. */
#include "pending.h"

static size_t ring_size(io_context_t ctx)
{
	return (ring_of(ctx)->nr + 1) * sizeof(struct io_event);
}

static io_context_t move(io_context_t ctx, void *target)
{
	size_t size = ring_size(ctx);
	void *moved = mremap(ctx, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target);

	if (moved == MAP_FAILED)
		die("mremap");
	return moved;
}

int main(void)
{
	io_context_t ctx = new_context(8), moved;
	struct channel channel = new_pipe(), other = new_pipe();
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct iocb iocbs[3], signalled;
	struct io_event result;
	struct waiter waiter = { .min_nr = 1, .nr = 1 };
	/* Both now: a later one would be given the place that the ring has left. */
	void *targets[2] = {
		pages(ring_size(ctx) / PAGE, PROT_NONE),
		pages(ring_size(ctx) / PAGE, PROT_NONE),
	};

	for (int i = 0; i < 3; i++)
		submit_poll(ctx, &iocbs[i], i == 1 ? channel.in : other.in, POLLIN);
	io_prep_poll(&signalled, other.in, POLLIN);
	io_set_eventfd(&signalled, resfd);
	submit_accepted(ctx, &signalled);

	moved = move(ctx, targets[0]);
	waiter.ctx = moved;
	start_waiter(&waiter);
	feed(channel.out);
	expect(end_waiter(&waiter), 1, "waiter");
	CHECK(event_is_for(&waiter.events[0], &iocbs[1]));
	expect(io_cancel(moved, &iocbs[0], &result), -EINPROGRESS, "cancel");
	expect(reap_event_of(moved, &iocbs[0]), 0, "res");
	expect(io_cancel(ctx, &iocbs[2], &result), -EINVAL, "cancel at the old address");
	expect(io_submit(ctx, 0, NULL), -EINVAL, "submit at the old address");

	moved = move(moved, targets[1]);
	expect(io_cancel(moved, &iocbs[2], &result), -EINPROGRESS, "moved again: cancel");
	expect(reap_event_of(moved, &iocbs[2]), 0, "res");
	expect(io_destroy(ctx), -EINVAL, "destroy at the first address");
	expect(take_count(resfd), 0, "count before");
	expect(io_destroy(moved), 0, "destroy");
	expect(take_count(resfd), 1, "count after");
	expect(io_destroy(moved), -EINVAL, "destroy again");
	return finish();
}
