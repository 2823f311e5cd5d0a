/* Description: after io_getevents has been asked for no events, all that are done are in the ring, of
 * direct reads, too. */
#include "check.h"

#define COUNT_OF_READS 6

int main(void)
{
	int file = scratch_direct("file", COUNT_OF_READS * PAGE, 'f');
	char *memory = aligned_alloc(PAGE, COUNT_OF_READS * PAGE);
	struct io_event events[COUNT_OF_READS];
	struct iocb iocbs[COUNT_OF_READS], *list[COUNT_OF_READS];
	io_context_t ctx = new_context(16);

	for (int i = 0; i < COUNT_OF_READS; i++)
		list[i] = &iocbs[i];
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < COUNT_OF_READS; i++)
			io_prep_pread(&iocbs[i], file, memory + i * (int)PAGE, PAGE, i * (long)PAGE);
		CHECK(submit(ctx, list[0]) == 1);
		EVENTUALLY(io_getevents(ctx, 0, 0, NULL, NULL) == 0 && in_ring(ctx) == 1);
		/* Those that end while one is there already come to it. */
		CHECK(io_submit(ctx, COUNT_OF_READS - 1, list + 1) == COUNT_OF_READS - 1);
		EVENTUALLY(io_getevents(ctx, 0, 0, NULL, NULL) == 0 && in_ring(ctx) == COUNT_OF_READS);
		CHECK(reap(ctx, COUNT_OF_READS, COUNT_OF_READS, events) == COUNT_OF_READS);
	}
	fact("all were there");
	end_context(ctx);
	return finish();
}
