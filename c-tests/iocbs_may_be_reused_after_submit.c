/*
 * Description: io_submit copies iocbs, iovec arrays and the array of pointers; events carry its
 * copy.
 */
#include "check.h"

#define REQUESTS 8
#define LENGTH (1ul << 20)

int main(void)
{
	io_context_t ctx = new_context(32);
	int file = scratch_direct("file", LENGTH, 'x'), pair[2], polled = 0;
	struct iocb *list[REQUESTS], *addresses[REQUESTS], *page;
	struct io_event events[REQUESTS];
	char *memory[REQUESTS];

	MUST(pipe2(pair, O_CLOEXEC));
	/* Everything that the library is shown lies in pages that go away at once. */
	page = pages(1, PROT_READ | PROT_WRITE);
	struct iovec *iov = pages(1, PROT_READ | PROT_WRITE);
	for (int i = 0; i < REQUESTS; i++) {
		memory[i] = pages(LENGTH / PAGE, PROT_READ | PROT_WRITE);
		list[i] = addresses[i] = page + i;
		if (i % 4 == 3) {
			io_prep_poll(list[i], pair[0], POLLIN);
		} else if (i % 4 == 2) {
			io_prep_fsync(list[i], file);
		} else {
			for (int j = 0; j < 4; j++)
				iov[i * 4 + j] =
					(struct iovec){ memory[i] + j * LENGTH / 4, LENGTH / 4 };
			io_prep_preadv(list[i], file, iov + i * 4, 4, 0);
		}
		list[i]->data = memory[i];
	}
	expect(io_submit(ctx, REQUESTS, list), REQUESTS, "submitted");
	memset(iov, 0xff, PAGE);
	memset(page, 0xff, PAGE);
	memset(list, 0xff, sizeof(list));
	MUST(munmap(iov, PAGE));
	MUST(munmap(page, PAGE));
	MUST(write(pair[1], "x", 1));

	expect(reap(ctx, REQUESTS, REQUESTS, events), REQUESTS, "reaped");
	for (int i = 0; i < REQUESTS; i++) {
		int which = 0;

		while (which < REQUESTS && events[i].obj != addresses[which])
			which++;
		CHECK(which < REQUESTS);
		if (which == REQUESTS)
			continue;
		addresses[which] = NULL;
		CHECK(events[i].data == memory[which] && events[i].res2 == 0);
		if (which % 4 == 3)
			polled += events[i].res & POLLIN;
		else if (which % 4 == 2)
			CHECK(event_res(&events[i]) == 0);
		else
			CHECK(event_res(&events[i]) == (long)LENGTH &&
			      filled_with(memory[which], 'x', LENGTH));
	}
	expect(polled, REQUESTS / 4 * POLLIN, "polls");
	end_context(ctx);
	return finish();
}
