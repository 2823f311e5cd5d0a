/* Description: however many batches end with a request that is refused, wherever it stands and whatever
 * stands behind it, the context keeps its capacity. */
#include "pending.h"

#define MANY 70
#define ROUNDS 20
#define MOST 4096

static io_context_t ctx;
static struct channel channel;

static int fill(void)
{
	struct iocb iocb;
	int accepted = 0;

	io_prep_poll(&iocb, channel.out, POLLOUT);
	while (accepted < MOST && submit(ctx, &iocb) == 1)
		accepted++;
	drain(ctx);
	return accepted;
}

/* Polls that are ready, of which one is refused; what stands behind them is a write or another poll. */
static void batches(int refused, bool has_write)
{
	struct iocb iocbs[MANY], *list[MANY];

	for (int i = 0; i < MANY; i++) {
		io_prep_poll(&iocbs[i], i == refused ? -1 : channel.out, POLLOUT);
		list[i] = &iocbs[i];
	}
	if (has_write)
		io_prep_pwrite(&iocbs[refused + 1], channel.out, "x", 1, 0);
	for (int round = 0; round < ROUNDS; round++) {
		int got = io_submit(ctx, MANY, list);

		if (got != (refused ? refused : -EBADF))
			fail("number %d is refused, got %s", refused, code(got));
		if (drain(ctx) != refused)
			fail("number %d is refused, and others have no event", refused);
	}
}

int main(void)
{
	int capacity;

	stay_on_this_cpu();
	channel = new_pipe();
	ctx = new_context(2 * MANY);
	capacity = fill();
	for (int refused = 0; refused < MANY - 1; refused += 3) {
		batches(refused, false);
		batches(refused, true);
	}
	expect(in_ring(ctx), 0, "events");
	expect(fill() - capacity, 0, "capacity gained");
	end_context(ctx);
	return finish();
}
