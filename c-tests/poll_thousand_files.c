/* Description: a thousand files can be polled at the same time. */
#include "pending.h"

#define MANY 1000

int main(void)
{
	static struct iocb iocbs[MANY], *list[MANY];
	static struct io_event events[MANY];
	static int files[MANY], seen[MANY];
	struct rlimit limit;
	io_context_t ctx;

	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max < 4 * MANY)
		skip("only %lu descriptors", (unsigned long)limit.rlim_max);

	ctx = new_context(MANY);
	for (int i = 0; i < MANY; i++) {
		files[i] = (int)MUST(eventfd(0, EFD_CLOEXEC));
		io_prep_poll(&iocbs[i], files[i], POLLIN);
		list[i] = &iocbs[i];
	}
	expect(io_submit(ctx, MANY, list), MANY, "submit");
	expect(events_there(ctx), 0, "events before");

	/* Some, then the others in an order of their own. */
	for (int i = 0; i < MANY; i += 10)
		MUST(eventfd_write(files[i], 1));
	expect(reap(ctx, MANY / 10, MANY, events), MANY / 10, "events of a tenth");
	for (int i = 0; i < MANY / 10; i++)
		seen[events[i].obj - iocbs]++;
	for (int i = 0; i < MANY; i += 10)
		CHECK(seen[i] == 1);
	for (int step = 0, i = 0; step < MANY; step++, i = (i + 377) % MANY)
		if (i % 10)
			MUST(eventfd_write(files[i], 1));
	expect(reap(ctx, MANY - MANY / 10, MANY, events), MANY - MANY / 10, "events of the others");
	for (int i = 0; i < MANY - MANY / 10; i++) {
		seen[events[i].obj - iocbs]++;
		CHECK(event_res(&events[i]) & POLLIN);
	}
	for (int i = 0; i < MANY; i++)
		CHECK(seen[i] == 1);

	/* And once more, all of them ready. */
	expect(io_submit(ctx, MANY, list), MANY, "submit again");
	expect(in_ring(ctx), MANY, "in the ring at once");
	expect(drain(ctx), MANY, "events");
	end_context(ctx);
	return finish();
}
