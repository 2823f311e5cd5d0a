/* Description: once the ring has its magic, all events come there without a call: also that of direct I/O
 * that was submitted before the first request with an eventfd. */
#include "pending.h"

#define LENGTH (4ul << 20)

int main(void)
{
	int file = scratch_direct("file", LENGTH, 'f'), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *memory = pages(LENGTH / PAGE, PROT_READ | PROT_WRITE);

	for (int round = 0; round < 20; round++) {
		io_context_t ctx = new_context(8);
		volatile unsigned *ring = (volatile unsigned *)ctx;
		struct io_event events[2];
		struct iocb iocbs[2];

		io_prep_pread(&iocbs[0], file, memory, LENGTH, 0);
		submit_accepted(ctx, &iocbs[0]);
		io_prep_pread(&iocbs[1], file, memory, PAGE, 0);
		io_set_eventfd(&iocbs[1], resfd);
		submit_accepted(ctx, &iocbs[1]);
		/* nr, head, tail, magic */
		if (ring[4] == 0xa10a10a1)
			EVENTUALLY((ring[3] + ring[1] - ring[2]) % ring[1] == 2);
		expect(reap(ctx, 2, 2, events), 2, "events");
		end_context(ctx);
	}
	return finish();
}
