/* not: uring: epoll asks the file again when the event is taken, the poll goes on */
/* not: pool: as with io_uring */
/* Description: a poll that was woken completes though the data is gone before anybody takes the
 * event. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct iocb iocb;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	feed(channel.out);
	empty_out(channel.in);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "data came and went");
	end_context(ctx);
	return finish();
}
