/*
 * Description: the key is written back, so an iocb in read-only memory is -EFAULT, and not
 * carried out.
 */
#include "check.h"

/* A read of one byte from descriptor 0 into nowhere, complete but for the protection. */
static const struct iocb in_rodata = { .aio_lio_opcode = IO_CMD_PREAD };

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch("file", O_TRUNC), counter = MUST(eventfd(0, EFD_CLOEXEC));
	struct iocb *iocb = pages(1, PROT_READ | PROT_WRITE);
	struct io_event event;
	uint64_t count;

	expect_submit(ctx, (struct iocb *)&in_rodata, -EFAULT, "iocb in .rodata");

	for (unsigned key = 0; key < 2; key++) {
		MUST(mprotect(iocb, PAGE, PROT_READ | PROT_WRITE));
		io_prep_pwrite(iocb, file, "data", 4, 0);
		io_set_eventfd(iocb, counter);
		iocb->key = key;
		MUST(mprotect(iocb, PAGE, PROT_READ));
		expect_submit(ctx, iocb, -EFAULT, "write with key %u in a read-only page", key);
		CHECK(iocb->key == key);

		/* The checks that come before the key. */
		MUST(mprotect(iocb, PAGE, PROT_READ | PROT_WRITE));
		iocb->aio_fildes = -1;
		MUST(mprotect(iocb, PAGE, PROT_READ));
		expect_submit(ctx, iocb, -EBADF, "and descriptor -1");
		MUST(mprotect(iocb, PAGE, PROT_READ | PROT_WRITE));
		iocb->aio_fildes = file;
		iocb->u.c.resfd = -1;
		MUST(mprotect(iocb, PAGE, PROT_READ));
		expect_submit(ctx, iocb, -EBADF, "and resfd -1");
		MUST(mprotect(iocb, PAGE, PROT_READ | PROT_WRITE));
		iocb->u.c.__pad3 = 1;
		MUST(mprotect(iocb, PAGE, PROT_READ));
		expect_submit(ctx, iocb, -EINVAL, "and reserved2");

		/* And those after it. */
		MUST(mprotect(iocb, PAGE, PROT_READ | PROT_WRITE));
		iocb->u.c.__pad3 = 0;
		iocb->u.c.resfd = counter;
		iocb->aio_lio_opcode = 99;
		MUST(mprotect(iocb, PAGE, PROT_READ));
		expect_submit(ctx, iocb, -EFAULT, "and opcode 99");
	}
	expect(lseek(file, 0, SEEK_END), 0, "bytes written");

	/* In a batch the requests before it stand. */
	struct iocb good, *list[] = { &good, iocb, &good };
	io_prep_pwrite(&good, file, "good", 4, 0);
	expect(io_submit(ctx, 3, list), 1, "{ good, read-only, good }");
	expect(reap(ctx, 1, 1, &event), 1, "reaped");
	expect(lseek(file, 0, SEEK_END), 4, "bytes written");

	MUST(fcntl(counter, F_SETFL, O_NONBLOCK));
	expect(read(counter, &count, sizeof(count)), -1, "the eventfd was never signalled");
	end_context(ctx);
	return finish();
}
