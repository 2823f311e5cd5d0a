/* Description: buffered requests of a batch run in array order, and so do their events. */
#include "check.h"

#define STEPS 60

int main(void)
{
	io_context_t ctx = new_context(STEPS);
	int file = scratch("file", O_TRUNC), append, pair[2];
	static struct iocb iocb[STEPS], *list[STEPS];
	static struct io_event events[STEPS];
	static char out[STEPS][100], in[STEPS][100];

	append = MUST(open("append", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
	MUST(pipe2(pair, O_CLOEXEC));

	/* Write, read back, overwrite, read back: all at the same place. */
	for (int i = 0; i < STEPS; i += 2) {
		memset(out[i], 'A' + i, sizeof(out[i]));
		io_prep_pwrite(&iocb[i], file, out[i], 100, 50);
		io_prep_pread(&iocb[i + 1], file, in[i], 100, 50);
	}
	for (int i = 0; i < STEPS; i++)
		list[i] = &iocb[i];
	expect(io_submit(ctx, STEPS, list), STEPS, "writes and reads by turns");
	expect(in_ring(ctx), STEPS, "events at once");
	expect(reap(ctx, STEPS, STEPS, events), STEPS, "reaped");
	for (int i = 0; i < STEPS; i++)
		CHECK(event_is_for(&events[i], &iocb[i]) && event_res(&events[i]) == 100);
	for (int i = 0; i < STEPS; i += 2)
		CHECK(memcmp(out[i], in[i], 100) == 0);

	for (int i = 0; i < STEPS; i++) {
		out[i][0] = (char)i;
		io_prep_pwrite(&iocb[i], append, out[i], 1, 0);
	}
	expect(io_submit(ctx, STEPS, list), STEPS, "appends");
	expect(drain(ctx), STEPS, "reaped");
	char all[STEPS + 1];
	expect(pread(append, all, sizeof(all), 0), STEPS, "bytes in the file");
	for (int i = 0; i < STEPS; i++)
		CHECK(all[i] == (char)i);

	/* What one request puts into a pipe the next one finds there. */
	for (int i = 0; i < STEPS; i += 2) {
		io_prep_pwrite(&iocb[i], pair[1], out[i], 1, 0);
		io_prep_pread(&iocb[i + 1], pair[0], in[i], 100, 0);
	}
	expect(io_submit(ctx, STEPS, list), STEPS, "a pipe, written and read by turns");
	expect(reap(ctx, STEPS, STEPS, events), STEPS, "reaped");
	for (int i = 0; i < STEPS; i++)
		CHECK(event_is_for(&events[i], &iocb[i]) && event_res(&events[i]) == 1);
	for (int i = 0; i < STEPS; i += 2)
		CHECK(in[i][0] == (char)i);
	end_context(ctx);
	return finish();
}
