/* Description: no call changes errno, whether it works or not. */
#include "check.h"

#define SAME(call)                                                             \
	do {                                                                   \
		errno = 1234;                                                  \
		long value = (long)(call);                                     \
		int after = errno;                                             \
		fact("%s: %s", #call, code(value));                            \
		if (after != 1234)                                             \
			fail("%s: errno is %d", #call, after);                 \
	} while (0)

int main(void)
{
	io_context_t ctx = new_context(8), none = 0, *nowhere = NULL;
	int file = scratch_filled("file", 0, 4096, 'x'), pair[2];
	struct timespec zero = { 0, 0 }, short_time = { 0, 1000000 };
	struct io_event event;
	struct iocb good, bad, wait, full;
	struct iocb *good_list[] = { &good }, *bad_list[] = { &bad }, *wait_list[] = { &wait };
	struct iocb *full_list[] = { &full };
	sigset_t mask;
	char byte;

	MUST(pipe2(pair, O_CLOEXEC));
	sigemptyset(&mask);
	io_prep_pread(&good, file, &byte, 1, 0);
	io_prep_pread(&bad, -1, &byte, 1, 0);
	io_prep_poll(&wait, pair[0], POLLIN);
	io_prep_pread(&full, file, NULL, 1, 0);

	SAME(io_setup(0, &none));
	SAME(io_setup(1, nowhere));
	SAME(io_queue_init(-1, &none));
	SAME(io_submit(ctx, 1, good_list));
	SAME(io_getevents(ctx, 1, 1, &event, NULL));
	SAME(io_submit(ctx, 1, full_list));
	SAME(io_getevents(ctx, 1, 1, &event, NULL));
	SAME(io_submit(ctx, 1, bad_list));
	SAME(io_submit(ctx, -1, good_list));
	SAME(io_submit(ctx, 1, NULL));
	SAME(io_submit(none, 1, good_list));
	SAME(io_cancel(ctx, &good, NULL));
	SAME(io_cancel(ctx, NULL, NULL));
	SAME(io_submit(ctx, 1, wait_list));
	SAME(io_getevents(ctx, 1, 1, &event, &zero));
	SAME(io_getevents(ctx, 1, 1, &event, &short_time));
	SAME(io_getevents(ctx, 2, 1, &event, NULL));
	SAME(io_pgetevents(ctx, 1, 1, &event, &short_time, &mask));
	SAME(io_queue_wait(ctx, NULL));
	SAME(io_queue_run(ctx));
	SAME(io_cancel(ctx, &wait, NULL));
	SAME(io_getevents(ctx, 1, 1, &event, NULL));
	SAME(io_destroy(none));
	SAME(io_destroy(ctx));
	SAME(io_destroy(ctx));
	SAME(io_queue_release(none));
	return finish();
}
