/* Description: io_destroy waits for reads and writes in flight: when it returns they have been
 * carried out, and no buffer is touched any more. */
#include "pending.h"

#define MANY 32
#define SIZE (64 * PAGE)

static void submit_all(io_context_t ctx, struct iocb *iocbs)
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++)
		list[i] = &iocbs[i];
	expect(io_submit(ctx, MANY, list), MANY, "submit");
}

int main(void)
{
	int file = scratch_direct("file", MANY * SIZE, 'o');
	char *buffer = pages(MANY * SIZE / PAGE, PROT_READ | PROT_WRITE);
	struct iocb iocbs[MANY];
	io_context_t ctx = new_context(MANY);

	for (int i = 0; i < MANY; i++)
		io_prep_pread(&iocbs[i], file, buffer + i * SIZE, SIZE, (long long)(i * SIZE));
	submit_all(ctx, iocbs);
	expect(io_destroy(ctx), 0, "destroy with reads in flight");
	fact("all read: %s", filled_with(buffer, 'o', MANY * SIZE) ? "yes" : "no");
	CHECK(filled_with(buffer, 'o', MANY * SIZE));
	memset(buffer, 'n', MANY * SIZE);
	sleep_ms(50);
	CHECK(filled_with(buffer, 'n', MANY * SIZE));

	ctx = new_context(MANY);
	for (int i = 0; i < MANY; i++)
		io_prep_pwrite(&iocbs[i], file, buffer + i * SIZE, SIZE, (long long)(i * SIZE));
	submit_all(ctx, iocbs);
	expect(io_destroy(ctx), 0, "destroy with writes in flight");
	memset(buffer, 'x', MANY * SIZE);
	for (int i = 0; i < MANY; i++)
		CHECK((size_t)MUST(pread(file, buffer + i * SIZE, SIZE, i * SIZE)) == SIZE);
	fact("all written: %s", filled_with(buffer, 'n', MANY * SIZE) ? "yes" : "no");
	CHECK(filled_with(buffer, 'n', MANY * SIZE));
	return finish();
}
