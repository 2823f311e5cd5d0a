/* only: pool: the kernel cancels nothing but polls, and io_uring's workers start at once */
/* Description: work that waits for a thread can be cancelled: its event has res -ECANCELED. */
#include "pending.h"

#define MANY 400

int main(void)
{
	io_context_t ctx;
	static struct iocb iocbs[MANY], *list[MANY];
	static struct io_event events[MANY];
	static int answers[MANY];
	struct io_event result;
	int cancelled = 0, kept = 0, files[MANY];
	char block[PAGE] = { 'x' };

	/* So many that they cannot all have begun, whatever the library does at the same time. */
	ctx = new_context(MANY);
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file%d", i);
		files[i] = scratch(name, 0);
		MUST(pwrite(files[i], block, sizeof(block), 0));
		io_prep_fsync(&iocbs[i], files[i]);
		list[i] = &iocbs[i];
	}
	expect(io_submit(ctx, MANY, list), MANY, "submit");
	for (int i = MANY - 1; i >= 0; i--) {
		answers[i] = io_cancel(ctx, &iocbs[i], &result);
		CHECK(answers[i] == -EINPROGRESS || answers[i] == -EINVAL);
	}
	CHECK(io_cancel(ctx, &iocbs[MANY - 1], &result) == -EINVAL);
	expect(reap(ctx, MANY, MANY, events), MANY, "events");
	for (int i = 0; i < MANY; i++) {
		if (answers[events[i].obj - iocbs] == -EINPROGRESS) {
			CHECK(event_res(&events[i]) == -ECANCELED);
			cancelled++;
		} else {
			CHECK(event_res(&events[i]) == 0);
			kept++;
		}
	}
	fact("some cancelled: %s", cancelled ? "yes" : "no");
	CHECK(cancelled > 0 && cancelled + kept == MANY);
	expect(drain(ctx), 0, "more events");
	end_context(ctx);
	return finish();
}
