/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * forbid ERROR GROUP[,GROUP] PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM under a seccomp filter that refuses groups of system calls: `aio` (io_setup and its
 * like) and `uring`. ERROR is ENOSYS, EPERM or EACCES: what the calls return; or KILL: they end the
 * process with SIGSYS. Exit status: PROGRAM's; 127 if it is not found; 125 if the filter is
 * refused.
 */
#include "../filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REFUSED = 125, NOT_FOUND = 127, MAX_CALLS = 16 };

static const struct group {
	const char *name;
	int calls[MAX_CALLS];
	int count;
} groups[] = {
	{ "aio",
	  { SYS_io_setup, SYS_io_submit, SYS_io_getevents, SYS_io_pgetevents, SYS_io_cancel,
	    SYS_io_destroy },
	  6 },
	{ "uring", { SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register }, 3 },
};

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "forbid: %s: %s\n", what, which);
	exit(REFUSED);
}

static unsigned action_named(const char *name)
{
	if (!strcmp(name, "ENOSYS"))
		return SECCOMP_RET_ERRNO | ENOSYS;
	if (!strcmp(name, "EPERM"))
		return SECCOMP_RET_ERRNO | EPERM;
	if (!strcmp(name, "EACCES"))
		return SECCOMP_RET_ERRNO | EACCES;
	if (!strcmp(name, "KILL"))
		return SECCOMP_RET_KILL_PROCESS;
	fail("unknown error", name);
	return 0;
}

static const struct group *group_named(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(name, groups[i].name))
			return &groups[i];
	fail("unknown group", name);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sock_fprog program;
	struct filter filter;
	int seen = 0;

	if (argc < 4)
		fail("usage", "forbid ERROR GROUP[,GROUP] PROGRAM [ARGUMENT...]");
	unsigned action = action_named(argv[1]);

	filter_begin(&filter);
	for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ",")) {
		const struct group *group = group_named(name);

		if (seen++ == 2)
			fail("too many groups", name);
		for (int i = 0; i < group->count; i++)
			filter_answer(&filter, group->calls[i], action);
	}
	program = filter_end(&filter);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		fail("seccomp", strerror(errno));
	execvp(argv[3], argv + 3);
	fprintf(stderr, "forbid: %s: %s\n", argv[3], strerror(errno));
	return NOT_FOUND;
}
