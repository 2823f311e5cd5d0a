/* not: pool: it reads later, into whatever is at that address then */
/* Description: the memory of a direct read in flight may be unmapped: the read goes on. */
#include "check.h"

#define LENGTH (1ul << 20)

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch_direct("file", LENGTH, 'x');
	struct iocb iocb;
	struct io_event event;

	for (int round = 0; round < 20; round++) {
		char *memory = pages(LENGTH / PAGE, PROT_READ | PROT_WRITE);

		io_prep_pread(&iocb, file, memory, LENGTH, 0);
		expect(submit(ctx, &iocb), 1, "submitted");
		MUST(munmap(memory, LENGTH));
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		expect(event_res(&event), LENGTH, "res");
	}
	end_context(ctx);
	return finish();
}
