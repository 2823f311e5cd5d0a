/* Description: io_submit stores 0 in key once the descriptor is good, and changes nothing else. */
#include "check.h"

static io_context_t ctx;

static void key(struct iocb *iocb, int want, unsigned after, const char *what)
{
	struct iocb copy;

	iocb->key = 77;
	copy = *iocb;
	int got = submit(ctx, iocb);

	expect(got, want, "%s", what);
	if (got == 1) {
		struct io_event event;

		reap(ctx, 1, 1, &event);
	}
	fact("%s: key %u", what, iocb->key);
	CHECK(iocb->key == after);
	copy.key = iocb->key;
	CHECK(memcmp(&copy, iocb, sizeof(copy)) == 0);
}

int main(void)
{
	int file = scratch_filled("file", 0, 4096, 'x');
	int write_only = MUST(open("file", O_WRONLY | O_CLOEXEC)), pair[2];
	struct iocb iocb;
	char byte;

	ctx = new_context(16);
	MUST(pipe2(pair, O_CLOEXEC));

	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.data = &byte;
	key(&iocb, 1, 0, "good");
	io_prep_fsync(&iocb, file);
	key(&iocb, 1, 0, "fsync");
	io_prep_pread(&iocb, file, NULL, 1, 0);
	key(&iocb, 1, 0, "error in the event");

	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.u.c.__pad3 = 1;
	key(&iocb, -EINVAL, 77, "reserved2");
	io_prep_pread(&iocb, file, &byte, -1, 0);
	key(&iocb, -EINVAL, 77, "nbytes -1");
	io_prep_pread(&iocb, -1, &byte, 1, 0);
	key(&iocb, -EBADF, 77, "descriptor -1");
	io_prep_pread(&iocb, file, &byte, 1, 0);
	io_set_eventfd(&iocb, -1);
	key(&iocb, -EBADF, 77, "resfd -1");
	io_prep_pread(&iocb, file, &byte, 1, 0);
	io_set_eventfd(&iocb, file);
	key(&iocb, -EINVAL, 77, "resfd is no eventfd");

	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.aio_lio_opcode = IO_CMD_NOOP;
	key(&iocb, -EINVAL, 0, "opcode");
	io_prep_pread(&iocb, write_only, &byte, 1, 0);
	key(&iocb, -EBADF, 0, "not open for reading");
	io_prep_pread(&iocb, file, &byte, 1, -1);
	key(&iocb, -EINVAL, 0, "offset -1");
	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.aio_rw_flags = 0x80000000;
	key(&iocb, -EOPNOTSUPP, 0, "RWF flags");
	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.u.c.flags = FLAG_IOPRIO;
	iocb.aio_reqprio = -1;
	key(&iocb, -EINVAL, 0, "priority");
	io_prep_pread(&iocb, file, KERNEL_ADDRESS, 1, 0);
	key(&iocb, -EFAULT, 0, "kernel buffer");
	io_prep_preadv(&iocb, file, NULL, 1, 0);
	key(&iocb, -EFAULT, 0, "unreadable iovec array");
	io_prep_fsync(&iocb, pair[0]);
	key(&iocb, -EINVAL, 0, "fsync of a pipe");
	io_prep_poll(&iocb, pair[0], POLLIN);
	iocb.u.c.offset = 1;
	key(&iocb, -EINVAL, 0, "poll with an offset");
	end_context(ctx);
	return finish();
}
