/* Description: taking events leaves the eventfd's count alone; several contexts may add to one
 * eventfd. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(8), other = new_context(8);
	int resfd = (int)MUST(eventfd(40, EFD_CLOEXEC)), file = scratch("file", 0);
	struct iocb iocb;

	io_prep_pwrite(&iocb, file, "x", 1, 0);
	io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	expect(drain(ctx), 1, "events");
	submit_accepted(other, &iocb);
	expect(drain(other), 1, "events of another context");
	expect(take_count(resfd), 42, "count, 40 before");
	end_context(other);
	submit_accepted(ctx, &iocb);
	expect(take_count(resfd), 1, "count, events not taken");
	expect(drain(ctx), 1, "events");
	end_context(ctx);
	expect(take_count(resfd), 0, "count in the end");
	return finish();
}
