/* Description: io_cancel knows a request by the address of its iocb: a copy is another one, and
 * what the iocb holds by then does not matter. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct channel channel = new_pipe();
	struct io_event event, result;
	struct iocb *iocb = pages(1, PROT_READ | PROT_WRITE), copy;
	char data;

	io_prep_poll(iocb, channel.in, POLLIN);
	iocb->data = &data;
	expect(submit(ctx, iocb), 1, "submit");
	copy = *iocb;
	expect(io_cancel(ctx, &copy, &result), -EINVAL, "a copy");
	memset(iocb, 0xdd, sizeof(*iocb));
	iocb->key = 0;
	expect(io_cancel(ctx, iocb, &result), -EINPROGRESS, "overwritten but for the key");
	expect(reap(ctx, 1, 1, &event), 1, "events");
	CHECK(event.obj == iocb && event.data == &data && event.res2 == 0);
	expect(event_res(&event), 0, "res");

	*iocb = copy;
	expect(submit(ctx, iocb), 1, "submit again");
	MUST(mprotect(iocb, PAGE, PROT_READ));
	expect(io_cancel(ctx, iocb, &result), -EINPROGRESS, "in memory that is read-only by then");
	expect(reap(ctx, 1, 1, &event), 1, "events");
	end_context(ctx);
	return finish();
}
