/* Description: however many submissions fail, the context keeps its capacity. */
#include "check.h"

#include <sched.h>

static io_context_t ctx;
static int file;
static char byte;

static int fill(void)
{
	struct iocb iocb;
	int accepted = 0;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	while (submit(ctx, &iocb) == 1)
		accepted++;
	drain(ctx);
	return accepted;
}

int main(void)
{
	cpu_set_t one;
	struct iocb iocb;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof(one), &one));
	file = scratch_filled("file", 0, 4096, 'x');
	ctx = new_context(8);
	int capacity = fill(), pair[2];

	MUST(pipe2(pair, O_CLOEXEC));
	for (int i = 0; i < 20000; i++) {
		io_prep_pread(&iocb, file, &byte, 1, 0);
		switch (i % 8) {
		case 0:
			iocb.aio_fildes = -1;
			break;
		case 1:
			io_set_eventfd(&iocb, file);
			break;
		case 2:
			iocb.aio_lio_opcode = 99;
			break;
		case 3:
			iocb.u.c.offset = -1;
			break;
		case 4:
			iocb.u.c.buf = KERNEL_ADDRESS;
			break;
		case 5:
			io_prep_fsync(&iocb, pair[0]);
			break;
		case 6:
			io_prep_preadv(&iocb, file, NULL, 2, 0);
			break;
		case 7:
			/* Neither ready nor a file that can be waited for. */
			io_prep_poll(&iocb, file, POLLPRI);
			break;
		}
		if (submit(ctx, &iocb) >= 0)
			fail("case %d is accepted", i % 8);
	}
	expect(in_ring(ctx), 0, "events");
	expect(fill() - capacity, 0, "capacity gained");
	end_context(ctx);
	return finish();
}
