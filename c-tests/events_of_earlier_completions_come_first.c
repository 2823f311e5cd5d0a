/* not: uring: what has completed is looked for when somebody reaps */
/* not: pool: as with io_uring */
/* Description: what has completed by itself comes before what a later io_submit does at once. */
#include "pending.h"

static char *memory;
static int direct, plain;

static void submit_then(io_context_t ctx, struct iocb *first, int kind)
{
	struct channel channel = new_pipe();
	struct io_event events[2];
	struct iocb second;

	feed(channel.out);
	if (kind == 0)
		io_prep_pread(&second, plain, memory, PAGE, 0);
	else if (kind == 1)
		io_prep_pread(&second, channel.in, memory, 1, 0);
	else
		io_prep_poll(&second, channel.in, POLLIN);
	submit_accepted(ctx, &second);
	expect(reap(ctx, 2, 2, events), 2, "kind %d: events", kind);
	CHECK(event_is_for(&events[0], first));
	CHECK(event_is_for(&events[1], &second));
	close_channel(channel);
}

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	struct iocb iocb;

	direct = scratch_direct("direct", PAGE, 'd');
	plain = scratch_filled("plain", 0, PAGE, 'p');
	memory = pages(2, PROT_READ | PROT_WRITE);
	for (int round = 0; round < 4; round++) {
		for (int kind = 0; kind < 3; kind++) {
			submit_poll(ctx, &iocb, channel.in, POLLIN);
			feed(channel.out);
			submit_then(ctx, &iocb, kind);
			empty_out(channel.in);

			io_prep_pread(&iocb, direct, memory + PAGE, PAGE, 0);
			submit_accepted(ctx, &iocb);
			sleep_ms(100);
			submit_then(ctx, &iocb, kind);
		}
	}
	end_context(ctx);
	return finish();
}
