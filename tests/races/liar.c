/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Stands in front of a libaio and tells one lie, LIE, of one event in some hundred: the race driver
 * has to notice.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libaio.h>

int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout)
{
	static int (*next)(io_context_t, long, long, struct io_event *, struct timespec *);
	static int calls;
	const char *lie = getenv("LIE");
	int got;

	if (!next)
		next = (int (*)(io_context_t, long, long, struct io_event *, struct timespec *))dlvsym(
			RTLD_NEXT, "io_getevents", "LIBAIO_0.4");
	got = next(ctx, min_nr, nr, events, timeout);
	if (got <= 0 || __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 300 != 299)
		return got;
	if (!strcmp(lie, "lose"))
		return got - 1;
	if (!strcmp(lie, "double") && got < nr) {
		events[got] = events[0];
		return got + 1;
	}
	if (!strcmp(lie, "data"))
		events[0].data = (char *)events[0].data - 1;
	return got;
}
