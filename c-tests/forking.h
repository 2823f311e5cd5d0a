/* Children of fork: of a signal handler, and such as only sleep. */
#ifndef FORKING_H
#define FORKING_H

#include "pending.h"

/* What `fork_once` has made; in the child: 0. */
static pid_t child;
static bool has_forked;

/* A signal handler that forks when it runs for the first time. */
static inline void fork_once(int unused)
{
	int error = errno;

	(void)unused;
	if (!has_forked) {
		has_forked = true;
		child = fork();
	}
	errno = error;
}

/* A child that has what its parent had, and does nothing. */
static inline pid_t fork_sleeper(void)
{
	pid_t sleeper = (pid_t)MUST(fork());

	if (sleeper == 0) {
		sleep(25);
		_exit(0);
	}
	return sleeper;
}

#endif
