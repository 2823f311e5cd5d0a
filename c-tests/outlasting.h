/* Waits for something else that outlast direct I/O of the same thread. */
#ifndef OUTLASTING_H
#define OUTLASTING_H

#include "pending.h"

#include <sys/prctl.h>

struct wait {
	const char *name;
	/* A system call that nothing but the timeout ends. */
	int (*call)(const struct timespec *timeout);
	int rounds;
};

/*
 * Submits a direct read and waits for something else meanwhile, many times: counts how often that
 * was interrupted. The timeout follows the time that a read takes, so that most waits outlast it.
 */
static inline void outlast(const struct wait *wait)
{
	io_context_t ctx = new_context(4);
	int file = scratch_direct("file", 64 * PAGE, 'f');
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct timespec timeout = { 0, 100000 };
	struct timespec zero = { 0, 0 };
	long interrupted = 0, outlasted = 0;
	struct io_event event;
	struct iocb iocb;

	MUST(prctl(PR_SET_TIMERSLACK, 1));
	for (int i = 0; i < wait->rounds; i++) {
		io_prep_pread(&iocb, file, buffer, PAGE, i % 64 * (long)PAGE);
		submit_accepted(ctx, &iocb);
		errno = 0;
		if (wait->call(&timeout) == -1)
			interrupted += errno == EINTR;
		if (io_getevents(ctx, 1, 1, &event, &zero) == 1) {
			outlasted++;
			timeout.tv_nsec -= timeout.tv_nsec > 30000 ? 2000 : 0;
		} else {
			timeout.tv_nsec += timeout.tv_nsec < 5000000 ? 10000 : 0;
			if (reap(ctx, 1, 1, &event) != 1)
				fail("%s: no event", wait->name);
		}
		CHECK(event_is_for(&event, &iocb) && event_res(&event) == (long)PAGE);
	}
	expect(interrupted, 0, "%s: interrupted", wait->name);
	/* Or nothing has been shown. */
	CHECK(outlasted > wait->rounds / 3);
	close(file);
	end_context(ctx);
}

#endif
