/* Description: an eventfd whose count cannot grow delays neither events nor the caller. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC)), file = scratch_direct("file", PAGE, 'f');
	struct pollfd state = { resfd, POLLIN, 0 };
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	struct iocb iocb;

	MUST(eventfd_write(resfd, UINT64_MAX - 1));
	for (int i = 0; i < 3; i++) {
		io_prep_pwrite(&iocb, channel.out, "x", 1, 0);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		expect(reap_event_of(ctx, &iocb), 1, "write to a pipe");
		empty_out(channel.in);

		io_prep_poll(&iocb, channel.in, POLLIN);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		feed(channel.out);
		expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "poll");
		empty_out(channel.in);

		io_prep_pread(&iocb, file, buffer, PAGE, 0);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		expect(reap_event_of(ctx, &iocb), PAGE, "direct read");
	}
	expect(poll(&state, 1, 0), 1, "eventfd readable");
	end_context(ctx);
	return finish();
}
