/*
 * A signal for the main thread, once it sleeps in a call.
 */
#ifndef INTERRUPTED_H
#define INTERRUPTED_H

#include "check.h"

static pthread_t submitter;
static int submitter_tid;

/* The calling thread is the one that will be interrupted. */
static inline void expect_interruption(void)
{
	submitter = pthread_self();
	submitter_tid = (int)syscall(SYS_gettid);
}

static inline bool is_asleep(void)
{
	char path[64], text[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", submitter_tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(text, sizeof(text), file))
		text[0] = 0;
	fclose(file);
	char *state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

/* A thread's body: sends SIGUSR1. */
static inline void *interrupt(void *argument)
{
	(void)argument;
	EVENTUALLY(is_asleep());
	MUST(pthread_kill(submitter, SIGUSR1) ? -1 : 0);
	return NULL;
}

#endif
