/* not: pool: its events come by themselves, but for polls */
/* Description: direct reads and syncs without an eventfd are in flight when the first request with one is
 * submitted: the events of all come into the ring without another call. */
#include "pending.h"

#define READS 16
#define ROUNDS 100

int main(void)
{
	int file = scratch_direct("file", READS * PAGE, 'f'), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *memory = pages(READS + 1, PROT_READ | PROT_WRITE);
	int missing = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct iocb iocbs[READS + 1], *list[READS + 1];
		io_context_t ctx = new_context(64);
		long end;

		for (int i = 0; i <= READS; i++) {
			list[i] = &iocbs[i];
			io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i % READS * (long)PAGE);
		}
		/* One takes longer. */
		io_prep_fsync(&iocbs[0], file);
		io_set_eventfd(&iocbs[READS], resfd);
		CHECK(io_submit(ctx, READS, list) == READS);
		CHECK(io_submit(ctx, 1, &list[READS]) == 1);
		CHECK(take_counts(resfd, 1) == 1);
		for (end = now_ms() + 10000; in_ring(ctx) < READS + 1 && now_ms() < end;)
			sleep_ms(1);
		missing += READS + 1 - in_ring(ctx);
		end_context(ctx);
	}
	expect(missing, 0, "events missing");
	return finish();
}
