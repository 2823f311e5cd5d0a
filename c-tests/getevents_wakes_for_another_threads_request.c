/* Description: a thread that waits on an idle context gets the events of whatever another thread
 * submits afterwards. */
#include "pending.h"

/* The res of the event. */
static long wait_for(io_context_t ctx, struct iocb *iocb, int feed_fd, const char *what)
{
	struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 4 };

	start_waiter(&waiter);
	submit_accepted(ctx, iocb);
	if (feed_fd != -1) {
		sleep_ms(20);
		CHECK(!has_returned(&waiter));
		feed(feed_fd);
	}
	expect(end_waiter(&waiter), 1, "%s: events", what);
	CHECK(event_is_for(&waiter.events[0], iocb));
	return event_res(&waiter.events[0]);
}

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	int file = scratch_direct("file", 4 * PAGE, 'f');
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct iocb iocb;

	io_prep_poll(&iocb, channel.in, POLLIN);
	expect(wait_for(ctx, &iocb, channel.out, "poll") & POLLIN, POLLIN, "res");
	expect(wait_for(ctx, &iocb, -1, "poll that is ready"), POLLIN, "res");

	io_prep_pread(&iocb, file, buffer, PAGE, PAGE);
	expect(wait_for(ctx, &iocb, -1, "direct read"), PAGE, "res");
	CHECK(filled_with(buffer, 'f', PAGE));
	memset(buffer, 'g', PAGE);
	io_prep_pwrite(&iocb, file, buffer, PAGE, 0);
	expect(wait_for(ctx, &iocb, -1, "direct write"), PAGE, "res");
	io_prep_fsync(&iocb, file);
	expect(wait_for(ctx, &iocb, -1, "fsync"), 0, "res");
	io_prep_fdsync(&iocb, file);
	expect(wait_for(ctx, &iocb, -1, "fdsync"), 0, "res");

	/* The first poll of a context may come while somebody waits already. */
	end_context(ctx);
	ctx = new_context(4);
	channel = new_pipe();
	io_prep_fsync(&iocb, file);
	expect(wait_for(ctx, &iocb, -1, "fsync on another context"), 0, "res");
	io_prep_poll(&iocb, channel.in, POLLIN);
	expect(wait_for(ctx, &iocb, channel.out, "then its first poll") & POLLIN, POLLIN, "res");
	end_context(ctx);
	return finish();
}
