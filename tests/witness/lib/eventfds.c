/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Totals of eventfds. What the library has added to one is its count, which /proc tells without
 * taking it, and what the program has read, without what the program has written. It must never be
 * more than one for each accepted request, and exactly that when all contexts that used it are
 * destroyed: io_destroy returns after the last signal.
 *
 * Nothing is kept open: an eventfd whose last known descriptor is closed is looked at before that,
 * and then no more. Reads and writes are seen that come through libc's functions; an eventfd that
 * is read by another process, or read or written by a request, is not judged.
 */
#include "witness.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define KNOWN 65536

/* What is known of a descriptor until it is closed: 0 nothing, 1 no eventfd, 2 one of ours. */
static unsigned char kinds[KNOWN];
static struct counter *by_fd[KNOWN];

static bool is_known(int fd)
{
	return fd >= 0 && fd < KNOWN;
}

/* Count and identity of an eventfd. */
static bool look(int fd, uint64_t *count, long *id)
{
	char path[64], text[512];
	const char *found_count, *found_id;
	ssize_t length;
	int info;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info == -1)
		return false;
	length = real()->read(info, text, sizeof(text) - 1);
	real()->close(info);
	text[length < 0 ? 0 : length] = 0;
	found_count = strstr(text, "eventfd-count:");
	found_id = strstr(text, "eventfd-id:");
	if (!found_count || !found_id)
		return false;
	*count = strtoull(found_count + 14, NULL, 16);
	*id = strtol(found_id + 11, NULL, 10);
	return true;
}

/* With the lock held. */
struct counter *counter_of(int fd)
{
	struct counter *counter;
	uint64_t count;
	long id;

	if (is_known(fd) && kinds[fd])
		return kinds[fd] == 2 ? by_fd[fd] : NULL;
	if (!look(fd, &count, &id)) {
		if (is_known(fd))
			kinds[fd] = 1;
		return NULL;
	}
	for (counter = w->counters; counter; counter = counter->next)
		if (counter->id == id && !counter->is_gone)
			break;
	if (!counter) {
		counter = room(sizeof(*counter));
		*counter = (struct counter){ .next = w->counters, .id = id, .fd = fd, .first = count };
		w->counters = counter;
	}
	if (is_known(fd)) {
		kinds[fd] = 2;
		by_fd[fd] = counter;
	}
	return counter;
}

void counter_used(struct context *context, struct counter *counter)
{
	struct use *use = context->uses;

	while (use && use->counter != counter)
		use = use->next;
	if (use)
		return;
	use = room(sizeof(*use));
	*use = (struct use){ context->uses, counter };
	context->uses = use;
	counter->contexts++;
}

void counter_moved(int fd)
{
	struct counter *counter = w->counters ? counter_of(fd) : NULL;

	if (counter)
		counter->is_unjudged = true;
}

/* What the library has added; false if it cannot be said. */
static bool added(const struct counter *counter, uint64_t *total)
{
	uint64_t count;
	long id;

	if (counter->is_gone || counter->is_unjudged || counter->busy ||
	    !look(counter->fd, &count, &id) || id != counter->id)
		return false;
	*total = count + counter->read - counter->written - counter->first;
	return true;
}

void counter_check(struct counter *counter, bool is_exact)
{
	uint64_t total;

	if (!added(counter, &total))
		return;
	if (total > counter->expected + counter->tentative) {
		violation(&w->eventfd, "eventfd %d was signalled %lu times for %lu requests",
			  counter->fd, (unsigned long)total, (unsigned long)counter->expected);
		counter->is_unjudged = true;
	} else if (is_exact && !counter->tentative && !counter->unseen && total < counter->expected) {
		violation(&w->eventfd, "eventfd %d was signalled only %lu times for %lu requests",
			  counter->fd, (unsigned long)total, (unsigned long)counter->expected);
		counter->is_unjudged = true;
	}
}

/* An event can be reaped a moment before its signal: gives that one second. */
static void check_soon(struct counter *counter)
{
	uint64_t end = now_ms() + 1000, total;

	while (!counter->unseen && added(counter, &total) && total < counter->expected &&
	       now_ms() < end)
		usleep(1000);
	counter_check(counter, true);
}

void counters_at_exit(void)
{
	for (struct counter *counter = w->counters; counter; counter = counter->next)
		check_soon(counter);
}

void counters_forget(void)
{
	memset(kinds, 0, sizeof(kinds));
}

/* ---- Descriptors that come and go ---- */

/* Before fd is closed or becomes another file. */
static void before_close(int fd)
{
	struct hold held;

	if (!is_known(fd) || !__atomic_load_n(&kinds[fd], __ATOMIC_RELAXED))
		return;
	hold(&held);
	if (kinds[fd] == 2) {
		struct counter *counter = by_fd[fd];

		kinds[fd] = 0;
		if (counter->fd == fd) {
			int other = 0;

			check_soon(counter);
			while (other < KNOWN && (kinds[other] != 2 || by_fd[other] != counter))
				other++;
			counter->fd = other;
			counter->is_gone = other == KNOWN;
		}
	}
	kinds[fd] = 0;
	release(&held);
}

EXPORT int close(int fd)
{
	before_close(fd);
	return real()->close(fd);
}

EXPORT int dup2(int old, int new)
{
	static int (*next)(int, int);

	if (!next)
		next = (int (*)(int, int))dlsym(RTLD_NEXT, "dup2");
	if (old != new)
		before_close(new);
	return next(old, new);
}

EXPORT int dup3(int old, int new, int flags)
{
	static int (*next)(int, int, int);

	if (!next)
		next = (int (*)(int, int, int))dlsym(RTLD_NEXT, "dup3");
	if (old != new)
		before_close(new);
	return next(old, new, flags);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	static int (*next)(unsigned, unsigned, int);

	if (!next)
		next = (int (*)(unsigned, unsigned, int))dlsym(RTLD_NEXT, "close_range");
	for (unsigned fd = first; fd <= last && fd < KNOWN; fd++)
		before_close((int)fd);
	return next(first, last, flags);
}

EXPORT void closefrom(int first)
{
	static void (*next)(int);

	if (!next)
		next = (void (*)(int))dlsym(RTLD_NEXT, "closefrom");
	for (int fd = first < 0 ? 0 : first; fd < KNOWN; fd++)
		before_close(fd);
	next(first);
}

/* The kernel gives the identity of an eventfd that is gone to another one. */
EXPORT int eventfd(unsigned first, int flags)
{
	int fd = real()->eventfd(first, flags);
	struct hold held;
	uint64_t count;
	long id;

	if (fd == -1)
		return fd;
	before_close(fd);
	hold(&held);
	if (w->counters && look(fd, &count, &id))
		for (struct counter *counter = w->counters; counter; counter = counter->next)
			counter->is_gone |= counter->id == id;
	release(&held);
	return fd;
}

/* ---- Reads and writes by the program ---- */

static struct counter *begin_transfer(int fd, size_t length, const void *caller)
{
	struct counter *counter;
	struct hold held;

	if (length < sizeof(uint64_t) || is_library(caller) ||
	    (is_known(fd) && __atomic_load_n(&kinds[fd], __ATOMIC_RELAXED) == 1))
		return NULL;
	hold(&held);
	counter = counter_of(fd);
	if (counter)
		counter->busy++;
	release(&held);
	return counter;
}

static void end_transfer(struct counter *counter, uint64_t read, uint64_t written)
{
	struct hold held;

	hold(&held);
	counter->busy--;
	counter->read += read;
	counter->written += written;
	release(&held);
}

static uint64_t value_in(const void *buffer)
{
	uint64_t value;

	memcpy(&value, buffer, sizeof(value));
	return value;
}

EXPORT ssize_t read(int fd, void *buffer, size_t length)
{
	struct counter *counter = begin_transfer(fd, length, __builtin_return_address(0));
	ssize_t got = real()->read(fd, buffer, length);

	if (counter)
		end_transfer(counter, got == sizeof(uint64_t) ? value_in(buffer) : 0, 0);
	return got;
}

EXPORT ssize_t write(int fd, const void *buffer, size_t length)
{
	struct counter *counter = begin_transfer(fd, length, __builtin_return_address(0));
	ssize_t got = real()->write(fd, buffer, length);

	if (counter)
		end_transfer(counter, 0, got == sizeof(uint64_t) ? value_in(buffer) : 0);
	return got;
}

EXPORT int eventfd_read(int fd, eventfd_t *value)
{
	return read(fd, value, sizeof(*value)) == sizeof(*value) ? 0 : -1;
}

EXPORT int eventfd_write(int fd, eventfd_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

/* With several buffers: rare, and then it is not judged. */
static void not_judged(int fd)
{
	struct counter *counter = begin_transfer(fd, sizeof(uint64_t), NULL);

	if (counter) {
		counter->is_unjudged = true;
		end_transfer(counter, 0, 0);
	}
}

EXPORT ssize_t readv(int fd, const struct iovec *vector, int count)
{
	static ssize_t (*next)(int, const struct iovec *, int);

	if (!next)
		next = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "readv");
	not_judged(fd);
	return next(fd, vector, count);
}

EXPORT ssize_t writev(int fd, const struct iovec *vector, int count)
{
	static ssize_t (*next)(int, const struct iovec *, int);

	if (!next)
		next = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
	not_judged(fd);
	return next(fd, vector, count);
}
