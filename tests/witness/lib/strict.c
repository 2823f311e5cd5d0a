/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What can only be checked in a program that promises, with WITNESS_STRICT=1:
 *  - buffers of reads that were in flight at io_destroy are left alone until the next io_setup or
 *    the exit: then they are as they were when io_destroy returned;
 *  - nor is anything at the ring's address: a page of the witness's lies there meanwhile;
 *  - at the last io_destroy it has the descriptors and threads that it had at the first io_setup;
 *    the library's descriptors are gone at once, its threads within five seconds.
 * In other programs the descriptors of the kinds that the library makes are only counted.
 */
#include "witness.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST 1024
#define PAGE 4096

static struct {
	const char *buffer;
	size_t length;
	uint64_t sum;
	bool is_ring;
} dropped[MOST];
static size_t dropped_count;

static unsigned char open_before[65536 / 8];
static unsigned long threads_before;

/* ---- Buffers and rings ---- */

static bool sum_of(const char *buffer, size_t length, uint64_t *sum)
{
	static char block[65536];

	*sum = 0xcbf29ce484222325ul;
	while (length) {
		size_t part = length < sizeof(block) ? length : sizeof(block);

		if (peek(block, buffer, part) != (ssize_t)part)
			return false;
		for (size_t i = 0; i < part; i++)
			*sum = (*sum ^ (unsigned char)block[i]) * 0x100000001b3ul;
		buffer += part;
		length -= part;
	}
	return true;
}

static void watch(const char *buffer, size_t length, bool is_ring)
{
	uint64_t sum;

	if (dropped_count < MOST && sum_of(buffer, length, &sum))
		dropped[dropped_count++] = (__typeof__(dropped[0])){ buffer, length, sum, is_ring };
	else if (is_ring)
		munmap((void *)buffer, PAGE);
}

void strict_dropped(const struct request *request)
{
	if (request->buffer)
		watch(request->buffer, request->length, false);
}

void strict_ring(io_context_t address)
{
	void *page = mmap(address, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (page == (void *)address)
		watch(page, PAGE, true);
	else if (page != MAP_FAILED)
		munmap(page, PAGE);
}

void strict_buffers(void)
{
	for (size_t i = 0; i < dropped_count; i++) {
		uint64_t sum;

		if (sum_of(dropped[i].buffer, dropped[i].length, &sum) && sum != dropped[i].sum)
			violation(&w->late, "written into after io_destroy: %lu bytes at %p",
				  (unsigned long)dropped[i].length, (const void *)dropped[i].buffer);
		if (dropped[i].is_ring)
			munmap((void *)dropped[i].buffer, PAGE);
	}
	dropped_count = 0;
}

/* ---- Descriptors and threads ---- */

/* Adds up `each` for each number in a directory of /proc. No malloc: this may be a signal handler. */
static unsigned long numbers_in(const char *path, bool (*each)(unsigned long))
{
	static char block[8192] __attribute__((aligned(8)));
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned long count = 0;
	ssize_t got;

	while (directory != -1 && (got = getdents64(directory, block, sizeof(block))) > 0) {
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(block + at);
			char *end;
			unsigned long number = strtoul(entry->d_name, &end, 10);

			at += entry->d_reclen;
			if (!*end && end != entry->d_name && number != (unsigned long)directory)
				count += each(number);
		}
	}
	if (directory != -1)
		real()->close(directory);
	return count;
}

static bool remember(unsigned long fd)
{
	if (fd < 65536)
		open_before[fd / 8] |= (unsigned char)(1 << fd % 8);
	return true;
}

static bool is_left(unsigned long fd)
{
	char path[64], file[128] = "";

	if (fd >= 65536 || open_before[fd / 8] & 1 << fd % 8)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%lu", fd);
	if (readlink(path, file, sizeof(file) - 1) == -1)
		return false;
	if (w->is_strict)
		violation(&w->leaked, "descriptor %lu is left after the last io_destroy: %s", fd, file);
	return !strcmp(file, "anon_inode:[io_uring]") || !strcmp(file, "anon_inode:[eventfd]") ||
	       !strcmp(file, "anon_inode:[eventpoll]");
}

/* io-wq leaves by itself, seconds later. */
static bool is_of_process(unsigned long tid)
{
	char path[64], name[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%lu/comm", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	if (real()->read(fd, name, sizeof(name) - 1) < 0)
		name[0] = 0;
	real()->close(fd);
	return strncmp(name, "iou-", 4) != 0;
}

void strict_before_setup(void)
{
	if (w->is_strict)
		strict_buffers();
	if (w->live || w->setups)
		return;
	memset(open_before, 0, sizeof(open_before));
	numbers_in("/proc/self/fd", remember);
	if (w->is_strict)
		threads_before = numbers_in("/proc/self/task", is_of_process);
}

void strict_after_last_destroy(void)
{
	unsigned long threads, left = numbers_in("/proc/self/fd", is_left);
	uint64_t end = now_ms() + 5000;

	if (left > w->leftover)
		w->leftover = left;
	if (!w->is_strict)
		return;
	while ((threads = numbers_in("/proc/self/task", is_of_process)) > threads_before &&
	       now_ms() < end)
		usleep(1000);
	if (threads > threads_before)
		violation(&w->leaked, "%lu threads are left after the last io_destroy, %lu were before",
			  threads, threads_before);
}
