/*
 * Description: an iocb in memory that was not zeroed is accepted when a program sets the members
 * that its operation has, one by one, with no helper.
 */
#include "check.h"

#define BEFORE 0xa5

static io_context_t ctx;

/* What every operation has. */
static struct iocb *begin(int opcode, int fd)
{
	static struct iocb iocb;

	memset(&iocb, BEFORE, sizeof(iocb));
	iocb.data = &iocb;
	iocb.key = 0;
	iocb.aio_rw_flags = 0;
	iocb.aio_lio_opcode = opcode;
	iocb.aio_reqprio = 0;
	iocb.aio_fildes = fd;
	iocb.u.c.__pad3 = 0;
	iocb.u.c.flags = 0;
	return &iocb;
}

static void end(struct iocb *iocb, long result, const char *what)
{
	struct io_event event;

	expect(io_submit(ctx, 1, &iocb), 1, "%s, submitted", what);
	expect(reap(ctx, 1, 1, &event), 1, "%s, reaped", what);
	CHECK(event.obj == iocb && event.data == iocb);
	expect(event_res(&event), result, "%s, result", what);
}

int main(void)
{
	int file = scratch("file", 0), pair[2];
	char first[3] = "abc", second[5] = "defgh", in[8];
	struct iovec vector[2] = { { first, 3 }, { second, 5 } };
	struct iocb *iocb;

	ctx = new_context(8);
	MUST(pipe2(pair, O_CLOEXEC));

	iocb = begin(IO_CMD_PWRITEV, file);
	iocb->u.v.vec = vector;
	iocb->u.v.nr = 2;
	iocb->u.v.offset = 1;
	end(iocb, 8, "pwritev");

	iocb = begin(IO_CMD_PREADV, file);
	iocb->u.v.vec = vector;
	iocb->u.v.nr = 1;
	iocb->u.v.offset = 4;
	end(iocb, 3, "preadv");
	CHECK(memcmp(first, "def", 3) == 0);

	iocb = begin(IO_CMD_PREAD, file);
	iocb->u.c.buf = in;
	iocb->u.c.nbytes = sizeof(in);
	iocb->u.c.offset = 1;
	end(iocb, 8, "pread");
	CHECK(memcmp(in, "abcdefgh", 8) == 0);

	iocb = begin(IO_CMD_PWRITE, file);
	iocb->u.c.buf = in;
	iocb->u.c.nbytes = 2;
	iocb->u.c.offset = 9;
	end(iocb, 2, "pwrite");

	iocb = begin(IO_CMD_FSYNC, file);
	iocb->u.c.buf = NULL;
	iocb->u.c.nbytes = 0;
	iocb->u.c.offset = 0;
	end(iocb, 0, "fsync");

	/* The kernel looks at all eight bytes of the mask's place, and takes the low sixteen bits. */
	iocb = begin(IO_CMD_POLL, pair[1]);
	iocb->u.poll.events = POLLOUT;
	iocb->u.poll.__pad1 = 0;
	iocb->u.c.nbytes = 0;
	iocb->u.c.offset = 0;
	end(iocb, POLLOUT, "poll");

	end_context(ctx);
	return finish();
}
