/* Description: the resfd is the eventfd that the number meant at submission: closing the number or
 * using it for another one changes nothing. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	int kept = (int)MUST(dup(resfd)), number = resfd;
	struct iocb iocb;

	io_prep_poll(&iocb, channel.in, POLLIN);
	io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	close(resfd);
	feed(channel.out);
	expect(take_counts(kept, 1), 1, "closed: count of the other descriptor");
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "closed: res");
	expect(submit(ctx, &iocb), -EBADF, "closed: submit again");

	MUST(dup2(kept, number));
	empty_out(channel.in);
	submit_accepted(ctx, &iocb);
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	MUST(dup2(resfd, number));
	feed(channel.out);
	expect(take_counts(kept, 1), 1, "number reused: count of the first");
	expect(take_count(resfd), 0, "number reused: count of the second");
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "number reused: res");

	/* Nobody can look at it any more. */
	submit_accepted(ctx, &iocb);
	expect(take_counts(resfd, 1), 1, "the second: count");
	expect(reap_event_of(ctx, &iocb), POLLIN, "the second: res");
	empty_out(channel.in);
	submit_accepted(ctx, &iocb);
	close(number);
	close(resfd);
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "all descriptors closed: res");
	end_context(ctx);
	return finish();
}
