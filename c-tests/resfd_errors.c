/* Description: a bad resfd is refused at submit: -EBADF if it is no file, -EINVAL if no eventfd. */
#include "check.h"

static io_context_t ctx;
static int file;

static void with(int resfd, int want, const char *what)
{
	struct iocb iocb;
	char byte = 'y';

	io_prep_pwrite(&iocb, file, &byte, 1, 0);
	io_set_eventfd(&iocb, resfd);
	if (want == 1)
		expect_result(ctx, &iocb, 1, "write, resfd %s", what);
	else
		expect_submit(ctx, &iocb, want, "write, resfd %s", what);
	io_prep_fsync(&iocb, file);
	io_set_eventfd(&iocb, resfd);
	if (want == 1)
		expect_result(ctx, &iocb, 0, "fsync, resfd %s", what);
	else
		expect_submit(ctx, &iocb, want, "fsync, resfd %s", what);
	io_prep_poll(&iocb, file, POLLIN);
	io_set_eventfd(&iocb, resfd);
	expect_submit(ctx, &iocb, want, "poll, resfd %s", what);
}

int main(void)
{
	int counter = MUST(eventfd(0, EFD_CLOEXEC)), closed = dup(counter), pair[2], path;
	struct iocb iocb;
	uint64_t count;
	char byte;

	file = scratch_filled("file", 0, 4096, 'x');
	ctx = new_context(16);
	path = MUST(open("file", O_PATH | O_CLOEXEC));
	MUST(pipe2(pair, O_CLOEXEC));
	close(closed);
	with(closed, -EBADF, "closed");
	with(-1, -EBADF, "-1");
	with(__INT_MAX__, -EBADF, "INT_MAX");
	with(path, -EBADF, "O_PATH");
	with(file, -EINVAL, "a file");
	with(pair[0], -EINVAL, "a pipe");
	MUST(pread(file, &byte, 1, 0));
	fact("first byte of the file: %c", byte);
	CHECK(byte == 'x');
	with(counter, 1, "an eventfd");
	expect(read(counter, &count, sizeof(count)), 8, "eventfd read");
	expect(count, 3, "count");

	/* The order of the checks. */
	io_prep_pwrite(&iocb, -1, &byte, 1, 0);
	io_set_eventfd(&iocb, file);
	expect_submit(ctx, &iocb, -EBADF, "descriptor -1, resfd a file");
	io_prep_pwrite(&iocb, file, &byte, 1, -1);
	io_set_eventfd(&iocb, -1);
	expect_submit(ctx, &iocb, -EBADF, "offset -1, resfd -1");
	iocb.aio_lio_opcode = 99;
	expect_submit(ctx, &iocb, -EBADF, "opcode 99, resfd -1");

	/* Refused for another reason: the eventfd stays as it is. */
	io_set_eventfd(&iocb, counter);
	expect_submit(ctx, &iocb, -EINVAL, "opcode 99, resfd an eventfd");
	MUST(fcntl(counter, F_SETFL, O_NONBLOCK));
	expect(read(counter, &count, sizeof(count)), -1, "eventfd read");
	end_context(ctx);
	return finish();
}
