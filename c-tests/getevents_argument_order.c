/* Description: the timeout is checked first, then the mask, then the context and the range of
 * min_nr and nr; the events pointer only when there is an event to store. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	struct timespec short_while = { 0, 1 };
	struct io_event events[4];
	int ends[2] = { 0 };
	struct iocb iocb;
	static const struct {
		long min_nr, nr;
	} ranges[] = {
		{ -1, 0 }, { -1, 4 }, { 1, 0 }, { 5, 4 }, { 0, -1 },
		{ -1, -1 }, { LONG_MAX, 4 }, { LONG_MIN, 4 }, { 0, LONG_MIN },
	};

	expect(io_getevents(NULL, -1, -1, NULL, KERNEL_ADDRESS), -EFAULT,
	       "bad timeout, no context, bad range");
	expect(io_getevents(NULL, 0, 1, events, unmapped()), -EFAULT,
	       "unmapped timeout, no context");
	expect(io_getevents(NULL, 0, 1, events, NULL), -EINVAL, "no context");
	expect(io_getevents(NULL, 0, 1, events, &short_while), -EINVAL, "no context, a timeout");
	expect(io_getevents(NULL, 5, 1, KERNEL_ADDRESS, NULL), -EINVAL, "no context, bad events");

	expect(io_pgetevents(NULL, 0, 1, events, KERNEL_ADDRESS, NULL), -EFAULT,
	       "pgetevents: bad timeout, no context");
	expect(io_pgetevents(NULL, 0, 1, events, NULL, KERNEL_ADDRESS), -EFAULT,
	       "pgetevents: bad mask, no context");
	expect(io_pgetevents(NULL, 0, 1, events, &short_while, unmapped()), -EFAULT,
	       "pgetevents: unmapped mask, no context");
	expect(io_pgetevents(NULL, 0, 1, events, NULL, NULL), -EINVAL, "pgetevents: no context");
	expect(io_pgetevents(ctx, 5, 1, events, NULL, unmapped()), -EFAULT,
	       "pgetevents: unmapped mask, bad range");
	expect(io_pgetevents(ctx, 5, 1, events, NULL, NULL), -EINVAL, "pgetevents: bad range");

	for (size_t i = 0; i < COUNT(ranges); i++) {
		long min_nr = ranges[i].min_nr, nr = ranges[i].nr;

		expect(io_getevents(ctx, min_nr, nr, events, NULL), -EINVAL, "range %zu", i);
		expect(io_getevents(ctx, min_nr, nr, NULL, &short_while), -EINVAL,
		       "range %zu, a timeout, no events", i);
	}

	expect(io_getevents(ctx, 0, 4, KERNEL_ADDRESS, NULL), 0, "bad events, none there");
	MUST(pipe(ends));
	io_prep_poll(&iocb, ends[1], POLLOUT);
	expect(submit(ctx, &iocb), 1, "submit");
	expect(io_getevents(ctx, 5, 4, KERNEL_ADDRESS, NULL), -EINVAL, "bad events, bad range");
	expect(io_getevents(ctx, 0, 4, KERNEL_ADDRESS, NULL), -EFAULT, "bad events, one there");
	expect(io_getevents(ctx, 0, LONG_MAX, events, NULL), 1, "nr is LONG_MAX");
	expect(io_getevents(ctx, LONG_MAX, LONG_MAX, events, &short_while), 0,
	       "min_nr is LONG_MAX, a short while");
	end_context(ctx);
	return finish();
}
