/* Description: an epoll descriptor can be polled: it is ready when something in it is. */
#include "pending.h"

#include <sys/epoll.h>

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct epoll_event interest = { .events = EPOLLIN }, event;
	int inner = (int)MUST(epoll_create1(EPOLL_CLOEXEC)), outer = (int)MUST(epoll_create1(0));
	struct iocb iocb;

	MUST(epoll_ctl(inner, EPOLL_CTL_ADD, channel.in, &interest));
	MUST(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &interest));
	submit_poll(ctx, &iocb, inner, POLLIN);
	expect(events_there(ctx), 0, "events before");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "then");
	submit_poll(ctx, &iocb, inner, POLLIN);
	expect(reap_event_of(ctx, &iocb), POLLIN, "polled while ready");
	empty_out(channel.in);

	submit_poll(ctx, &iocb, outer, POLLIN);
	expect(events_there(ctx), 0, "nested once more: events before");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "then");
	/* The program's own use of it goes on. */
	expect(epoll_wait(inner, &event, 1, 0), 1, "epoll_wait on the inner one");
	expect(epoll_wait(outer, &event, 1, 0), 1, "epoll_wait on the outer one");
	end_context(ctx);
	return finish();
}
