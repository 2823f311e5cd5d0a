/* Description: io_destroy adds one to the resfd of each request that it ends, before it returns. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	int file = scratch_direct("file", 16 * PAGE, 'f');
	char *buffer = pages(16, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	struct iocb iocb;

	for (int i = 0; i < 3; i++) {
		io_prep_poll(&iocb, channel.in, POLLIN);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
	}
	io_prep_poll(&iocb, channel.in, POLLIN);
	submit_accepted(ctx, &iocb);
	expect(take_count(resfd), 0, "count before");
	end_context(ctx);
	expect(take_count(resfd), 3, "count after three of four polls");

	ctx = new_context(16);
	for (int i = 0; i < 16; i++) {
		io_prep_pread(&iocb, file, buffer + i * PAGE, PAGE, i * PAGE);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
	}
	end_context(ctx);
	expect(take_count(resfd), 16, "count after sixteen direct reads");
	feed(channel.out);
	sleep_ms(20);
	expect(take_count(resfd), 0, "count in the end");
	return finish();
}
