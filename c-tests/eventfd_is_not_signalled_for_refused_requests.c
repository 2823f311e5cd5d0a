/* Description: a refused request leaves its resfd alone, and so do those after it in the batch. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC)), file = scratch("file", 0);
	struct iocb good, bad, after, *list[] = { &good, &bad, &after };
	char byte = 'x';

	io_prep_pwrite(&good, file, &byte, 1, 0);
	io_prep_pwrite(&after, file, &byte, 1, 0);
	io_set_eventfd(&good, resfd);
	io_set_eventfd(&after, resfd);

	io_prep_pwrite(&bad, file, &byte, 1, -1);
	io_set_eventfd(&bad, resfd);
	expect_submit(ctx, &bad, -EINVAL, "bad offset");
	expect(io_submit(ctx, 3, list), 1, "between good ones");
	expect(take_counts(resfd, 1), 1, "count");
	expect(drain(ctx), 1, "events");

	io_prep_poll(&bad, file, 0);
	io_set_eventfd(&bad, resfd);
	expect_submit(ctx, &bad, -EINVAL, "a poll for nothing");
	io_prep_pwrite(&bad, -1, &byte, 1, 0);
	io_set_eventfd(&bad, resfd);
	expect_submit(ctx, &bad, -EBADF, "closed file");
	bad.aio_lio_opcode = IO_CMD_NOOP;
	bad.aio_fildes = file;
	expect_submit(ctx, &bad, -EINVAL, "no operation");
	expect(take_count(resfd), 0, "count");
	end_context(ctx);
	return finish();
}
