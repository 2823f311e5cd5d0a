/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A library that looks like uaio's, by the names of its variables, and does no I/O. `uaio bench` has
 * to find that out.
 *
 * UAIO_ENGINE=uring: requests end with EIO. UAIO_ENGINE=pool: they end as they should, but nothing
 * is read. LIE=never: they never end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libaio.h"

static struct io_event done[1024];
static long pending;

static int is(const char *name, const char *expected)
{
	const char *value = getenv(name);

	return value && !strcmp(value, expected);
}

int io_setup(int maxevents, io_context_t *ctxp)
{
	(void)maxevents;
	*ctxp = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return 0;
}

int io_destroy(io_context_t ctx)
{
	munmap(ctx, 65536);
	return 0;
}

int io_submit(io_context_t ctx, long nr, struct iocb *ios[])
{
	(void)ctx;
	for (long i = 0; i < nr; i++) {
		done[pending].data = ios[i]->data;
		done[pending].obj = ios[i];
		done[pending].res = is("UAIO_ENGINE", "pool") ? (long)ios[i]->u.c.nbytes : -EIO;
		pending++;
	}
	return nr;
}

int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout)
{
	int count = pending < nr ? pending : nr;

	(void)ctx;
	(void)min_nr;
	(void)timeout;
	while (is("LIE", "never"))
		pause();
	memcpy(events, done, count * sizeof(*events));
	pending = 0;
	return count;
}
