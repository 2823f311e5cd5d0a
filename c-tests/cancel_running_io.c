/* Description: io_cancel of direct I/O and fsync in flight either changes nothing or cancels; there
 * is one event in both cases. */
#include "pending.h"

#define MANY 64

int main(void)
{
	io_context_t ctx = new_context(MANY);
	char *buffer = pages(MANY, PROT_READ | PROT_WRITE);
	int file = scratch_direct("file", MANY * PAGE, 'f');
	struct iocb iocbs[MANY], *list[MANY];
	struct io_event events[MANY], result;
	int answers[MANY], seen[MANY] = { 0 };

	for (int i = 0; i < MANY; i++) {
		if (i % 4 == 3)
			io_prep_fsync(&iocbs[i], file);
		else
			io_prep_pread(&iocbs[i], file, buffer + i * PAGE, PAGE, i * PAGE);
		list[i] = &iocbs[i];
	}
	expect(io_submit(ctx, MANY, list), MANY, "submit");
	for (int i = MANY - 1; i >= 0; i--) {
		answers[i] = io_cancel(ctx, &iocbs[i], &result);
		CHECK(answers[i] == -EINVAL || answers[i] == -EINPROGRESS);
	}
	expect(reap(ctx, MANY, MANY, events), MANY, "events");
	for (int i = 0; i < MANY; i++) {
		long which = events[i].obj - iocbs, res = event_res(&events[i]);

		seen[which]++;
		if (answers[which] == -EINPROGRESS)
			CHECK(res == -ECANCELED);
		else
			CHECK(res == (which % 4 == 3 ? 0 : (long)PAGE));
		if (res == (long)PAGE)
			CHECK(filled_with(buffer + which * PAGE, 'f', PAGE));
	}
	for (int i = 0; i < MANY; i++)
		CHECK(seen[i] == 1);
	sleep_ms(20);
	expect(events_there(ctx), 0, "more events");
	end_context(ctx);
	return finish();
}
