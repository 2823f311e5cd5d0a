/* Description: an eventfd made with EFD_SEMAPHORE gives one for each event. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE | EFD_NONBLOCK));
	int file = scratch("file", 0);
	struct iocb iocb, *list[] = { &iocb, &iocb, &iocb };
	uint64_t count;

	io_prep_pwrite(&iocb, file, "x", 1, 0);
	io_set_eventfd(&iocb, resfd);
	expect(io_submit(ctx, 3, list), 3, "submit");
	for (int i = 0; i < 3; i++) {
		expect(read(resfd, &count, sizeof(count)), 8, "read %d", i);
		expect((long)count, 1, "count %d", i);
	}
	expect(read(resfd, &count, sizeof(count)) == -1 ? -errno : 0, -EAGAIN, "read once more");
	expect(drain(ctx), 3, "events");
	end_context(ctx);
	return finish();
}
