/* Description: a poll of an eventfd may have that very eventfd as its resfd. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8);
	int fd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct iocb iocbs[2], out;
	struct io_event event;

	io_prep_poll(&iocbs[0], fd, POLLIN);
	io_set_eventfd(&iocbs[0], fd);
	submit_accepted(ctx, &iocbs[0]);
	sleep_ms(20);
	expect(take_count(fd), 0, "count while pending");
	MUST(eventfd_write(fd, 1));
	expect(reap_event_of(ctx, &iocbs[0]) & POLLIN, POLLIN, "res");
	expect(take_count(fd), 2, "count then");

	MUST(eventfd_write(fd, 5));
	submit_accepted(ctx, &iocbs[0]);
	expect(reap_event_of(ctx, &iocbs[0]), POLLIN, "ready at submission: res");
	expect(take_count(fd), 6, "ready at submission: count");

	/* Completing one signals the eventfd, which completes the other. */
	io_prep_poll(&iocbs[1], fd, POLLIN);
	io_set_eventfd(&iocbs[1], fd);
	submit_accepted(ctx, &iocbs[0]);
	submit_accepted(ctx, &iocbs[1]);
	io_prep_poll(&out, fd, POLLOUT);
	io_set_eventfd(&out, fd);
	submit_accepted(ctx, &out);
	for (int i = 0; i < 3; i++)
		CHECK(reap(ctx, 1, 1, &event) == 1);
	expect(take_count(fd), 3, "a poll that is ready completes two that are not: count");
	expect(drain(ctx), 0, "events left");
	end_context(ctx);
	return finish();
}
