/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the parts of hostile.c share. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "smoke.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

enum { SKIPPED = 77, NOBODY = 65534 };

static inline int skip(const char *reason)
{
	dprintf(2, "%s: %s\n", reason, strerror(errno));
	return SKIPPED;
}

/* Sets soft and hard limit, or the soft one only. */
static inline int limit(int resource, rlim_t value, int hard)
{
	struct rlimit limits;

	if (getrlimit(resource, &limits))
		return -1;
	limits.rlim_cur = value;
	if (hard)
		limits.rlim_max = value;
	return setrlimit(resource, &limits);
}

static inline int entries(const char *directory)
{
	DIR *open = opendir(directory);
	int count = 0;

	if (!open)
		return -1;
	while (readdir(open))
		count++;
	closedir(open);
	return count;
}

static inline int lines(const char *path)
{
	FILE *file = fopen(path, "r");
	int count = 0;

	if (!file)
		return -1;
	for (int c; (c = getc(file)) != EOF;)
		count += c == '\n';
	fclose(file);
	return count;
}

/* File descriptors, threads and mappings of this process. */
struct usage {
	int files;
	int threads;
	int mappings;
};

static inline struct usage usage(void)
{
	return (struct usage){ entries("/proc/self/fd"), entries("/proc/self/task"),
			       lines("/proc/self/maps") };
}

/* Idle threads leave after a moment: waits for that. */
static inline int gone(struct usage before)
{
	struct usage after = usage();

	for (int i = 0; i < 500 && after.threads != before.threads; i++) {
		usleep(10000);
		after = usage();
	}
	CHECK_EQ(after.files, before.files);
	CHECK_EQ(after.threads, before.threads);
	return 0;
}

static volatile sig_atomic_t signals;

static inline void count_signal(int number)
{
	(void)number;
	signals++;
}

#endif
