/* Description: each event is an edge for an edge-triggered epoll, though nobody reads the eventfd.
 * */
#include "pending.h"

#include <sys/epoll.h>

int main(void)
{
	io_context_t ctx = new_context(16);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	int epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	int file = scratch("file", 0);
	struct epoll_event interest = { .events = EPOLLIN | EPOLLET }, seen;
	struct channel channel = new_pipe();
	struct iocb iocb;

	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, resfd, &interest));
	for (int i = 0; i < 3; i++) {
		io_prep_pwrite(&iocb, file, "x", 1, 0);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		expect(epoll_wait(epoll, &seen, 1, 10000), 1, "write: edge");
		expect(epoll_wait(epoll, &seen, 1, 20), 0, "write: one more");

		io_prep_poll(&iocb, channel.in, POLLIN);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		feed(channel.out);
		expect(epoll_wait(epoll, &seen, 1, 10000), 1, "poll: edge");
		expect(epoll_wait(epoll, &seen, 1, 20), 0, "poll: one more");
		empty_out(channel.in);
	}
	expect(take_count(resfd), 6, "count");
	expect(drain(ctx), 6, "events");
	end_context(ctx);
	return finish();
}
