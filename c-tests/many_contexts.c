/* Description: contexts are independent of each other: each gives back its own events. */
#include "check.h"

int main(void)
{
	static io_context_t ctx[300];
	static struct iocb iocb[COUNT(ctx)];
	int file = scratch_filled("file", 0, 4096, 'x');
	struct io_event event;
	unsigned wrong = 0;
	char byte;

	for (size_t i = 0; i < COUNT(ctx); i++)
		ctx[i] = new_context(1);
	for (size_t i = 0; i < COUNT(ctx); i++) {
		io_prep_pread(&iocb[i], file, &byte, 1, 0);
		iocb[i].data = (void *)i;
		wrong += submit(ctx[i], &iocb[i]) != 1;
	}
	expect(wrong, 0, "refused");
	for (size_t i = COUNT(ctx); i-- > 0;)
		wrong += reap(ctx[i], 1, 1, &event) != 1 || !event_is_for(&event, &iocb[i]);
	expect(wrong, 0, "wrong events");

	/* Destroying one leaves its neighbours alone. The exit ends the rest. */
	for (size_t i = 0; i < COUNT(ctx); i += 100) {
		end_context(ctx[i]);
		expect(submit(ctx[i], &iocb[i]), -EINVAL, "destroyed context");
		expect_result(ctx[i + 1], &iocb[i], 1, "its neighbour");
	}
	return finish();
}
