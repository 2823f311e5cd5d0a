/* Description: when the last context is gone, so are all descriptors at once and all threads soon,
 * also where contexts follow each other quickly. */
#include "check.h"

int main(void)
{
	int file = scratch_filled("file", 0, 4096, 'x');
	int pair[2], counter = MUST(eventfd(0, EFD_CLOEXEC));
	struct io_event events[4];
	struct iocb sync, wait, signalled, one;
	struct iocb *list[] = { &sync, &wait, &signalled, &one };
	char byte;

	MUST(pipe2(pair, O_CLOEXEC));
	int fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");

	for (int round = 0; round < 40; round++) {
		io_context_t ctx = new_context(8);

		io_prep_fsync(&sync, file);
		io_prep_poll(&wait, pair[0], POLLIN);
		io_prep_poll(&signalled, pair[0], POLLIN);
		io_set_eventfd(&signalled, counter);
		io_prep_pread(&one, file, &byte, 1, 0);
		expect(io_submit(ctx, 4, list), 4, "submitted");
		/* Half of the rounds end with polls in flight. */
		if (round % 2 == 0) {
			MUST(write(pair[1], "x", 1));
			expect(reap(ctx, 4, 4, events), 4, "reaped");
			MUST(read(pair[0], &byte, 1));
		}
		end_context(ctx);
		CHECK(entries("/proc/self/fd") == fds);
	}
	EVENTUALLY(entries("/proc/self/task") == threads);
	return finish();
}
