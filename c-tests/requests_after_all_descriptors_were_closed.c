/* Description: a program closes all descriptors above 2 while direct reads are in flight: those may
 * fail, but what is submitted afterwards is done, whichever numbers it gets. */
#include "pending.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define MANY 16
#define ROUNDS 20

static void submit_reads(io_context_t ctx, char *memory, struct iocb iocbs[MANY])
{
	int file = (int)MUST(open("file", O_RDWR | O_DIRECT | O_CLOEXEC));
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

int main(void)
{
	static struct iocb before[MANY], after[MANY];
	struct io_event events[2 * MANY];
	io_context_t ctx = new_context(2 * MANY);
	char *memory = pages(2 * MANY, PROT_READ | PROT_WRITE);
	int good = 0;

	close(scratch_direct("file", MANY * PAGE, 'f'));
	for (int round = 0; round < ROUNDS; round++) {
		submit_reads(ctx, memory, before);
		if (syscall(SYS_close_range, 3, ~0u, 0))
			skip("no close_range");
		submit_reads(ctx, memory + MANY * PAGE, after);
		CHECK(reap(ctx, 2 * MANY, 2 * MANY, events) == 2 * MANY);
		for (int i = 0; i < 2 * MANY; i++)
			if (events[i].obj >= after && events[i].obj < after + MANY)
				good += event_res(&events[i]) == (long)PAGE;
	}
	expect(good, ROUNDS * MANY, "reads submitted after the descriptors were closed");
	CHECK(filled_with(memory + MANY * PAGE, 'f', MANY * PAGE));
	end_context(ctx);
	return finish();
}
