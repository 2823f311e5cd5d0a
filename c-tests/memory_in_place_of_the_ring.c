/* Description: what a program has mapped where it has unmapped a ring stays, whatever it asks of the context
 * that was there. */
#include "pending.h"

int main(void)
{
	int file = scratch_direct("file", PAGE, 'f'), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *memory = pages(1, PROT_READ | PROT_WRITE), *own;
	io_context_t ctx = new_context(8);
	struct iocb iocb;

	MUST(munmap(ctx, PAGE));
	own = mmap(ctx, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (own == MAP_FAILED)
		die("mmap");
	memset(own, 'o', PAGE);
	io_prep_pread(&iocb, file, memory, PAGE, 0);
	io_set_eventfd(&iocb, resfd);
	/* -EINVAL, or not: ours goes on without the program's view. */
	for (int i = 0; i < 3; i++)
		submit(ctx, &iocb);
	io_destroy(ctx);
	CHECK(filled_with(own, 'o', PAGE));
	return finish();
}
