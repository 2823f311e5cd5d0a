/* Description: threads submit more syncs than can run at a time and exit at once: each sync is carried
 * out, none is cancelled. */
#include "check.h"

#define SYNCS 48
#define ROUNDS 20

static io_context_t ctx;
static int files[SYNCS];
static struct iocb iocbs[SYNCS];

static void *submitter(void *argument)
{
	struct iocb *list[SYNCS];

	(void)argument;
	for (int i = 0; i < SYNCS; i++) {
		io_prep_fsync(&iocbs[i], files[i]);
		list[i] = &iocbs[i];
	}
	if (io_submit(ctx, SYNCS, list) != SYNCS)
		fail("io_submit");
	return NULL;
}

int main(void)
{
	struct io_event events[SYNCS];
	long refused = 0;

	ctx = new_context(SYNCS);
	for (int i = 0; i < SYNCS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file%d", i);
		files[i] = scratch(name, O_TRUNC);
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < SYNCS; i++)
			MUST(pwrite(files[i], "some data", 9, round * (long)PAGE));
		join(start(submitter, NULL));
		if (reap(ctx, SYNCS, SYNCS, events) != SYNCS) {
			fail("round %d: events are missing", round);
			break;
		}
		for (int i = 0; i < SYNCS; i++)
			refused += event_res(&events[i]) != 0;
	}
	expect(refused, 0, "syncs that failed");
	end_context(ctx);
	return finish();
}
