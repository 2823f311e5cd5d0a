/* Description: what a thread has submitted goes on when the thread is gone. */
#include "check.h"

#define LENGTH (1ul << 20)

static io_context_t ctx;
static int file, pair[2];
static char *memory;
static struct iocb iocb[4];

static void *submitter(void *argument)
{
	struct iocb *list[] = { &iocb[0], &iocb[1], &iocb[2], &iocb[3] };

	(void)argument;
	io_prep_pread(&iocb[0], file, memory, LENGTH, 0);
	io_prep_pread(&iocb[1], file, memory + LENGTH, LENGTH, 0);
	io_prep_fsync(&iocb[2], file);
	io_prep_poll(&iocb[3], pair[0], POLLIN);
	if (io_submit(ctx, 4, list) != 4)
		fail("io_submit");
	return NULL;
}

int main(void)
{
	struct io_event events[4];

	ctx = new_context(16);
	file = scratch_direct("file", LENGTH, 'x');
	memory = pages(2 * LENGTH / PAGE, PROT_READ | PROT_WRITE);
	MUST(pipe2(pair, O_CLOEXEC));
	for (int round = 0; round < 10; round++) {
		char byte;

		memset(memory, 0, 2 * LENGTH);
		join(start(submitter, NULL));
		MUST(write(pair[1], "x", 1));
		expect(reap(ctx, 4, 4, events), 4, "reaped");
		for (int i = 0; i < 4; i++) {
			long want = events[i].obj == &iocb[2] ? 0 :
				    events[i].obj == &iocb[3] ? event_res(&events[i]) & ~POLLERR :
								(long)LENGTH;

			if (event_res(&events[i]) != want)
				fail("request %td: %s", events[i].obj - iocb,
				     code(event_res(&events[i])));
		}
		CHECK(filled_with(memory, 'x', 2 * LENGTH));
		MUST(read(pair[0], &byte, 1));
	}
	end_context(ctx);
	return finish();
}
