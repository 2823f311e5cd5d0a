/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The lock, memory, and the way into a forked child. */
#include "witness.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct witness *w;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* 1, and 0 in a child: for children of a bare clone, where no handler runs. */
static volatile int *same_process;
static char *space;
static size_t space_left;

static void begin(void)
{
	const char *overdue = getenv("WITNESS_OVERDUE_MS"), *strict = getenv("WITNESS_STRICT");
	long page = sysconf(_SC_PAGESIZE);

	if (!same_process) {
		same_process = mmap(NULL, page, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise((void *)same_process, page, MADV_WIPEONFORK);
	}
	*same_process = 1;
	/* What the parent had allocated is not touched any more. */
	space_left = 0;
	w = room(sizeof(*w));
	w->pid = getpid();
	w->is_strict = strict && !strcmp(strict, "1");
	w->overdue = overdue ? strtoul(overdue, NULL, 10) : 10000;
}

static void in_child(void)
{
	/* Another thread of the parent may have held it. */
	pthread_mutex_init(&mutex, NULL);
	counters_forget();
	begin();
}

/* In the parent: the child has the eventfds as well, and may read them. */
static void after_fork(void)
{
	struct hold held;

	hold(&held);
	for (struct counter *counter = w->counters; counter; counter = counter->next)
		counter->is_unjudged |= !w->is_strict;
	release(&held);
}

__attribute__((constructor)) static void prepare(void)
{
	struct hold held;

	hold(&held);
	release(&held);
	pthread_atfork(NULL, after_fork, in_child);
}

void hold(struct hold *hold)
{
	sigset_t all;

	hold->error = errno;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &hold->mask);
	if (same_process && !*same_process)
		in_child();
	pthread_mutex_lock(&mutex);
	if (!w)
		begin();
}

void release(struct hold *hold)
{
	pthread_mutex_unlock(&mutex);
	pthread_sigmask(SIG_SETMASK, &hold->mask, NULL);
	errno = hold->error;
}

void *room(size_t size)
{
	const size_t chunk = 1 << 20;
	char *found;

	size = (size + 15) & ~15ul;
	if (size > chunk / 4) {
		found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return found == MAP_FAILED ? (abort(), NULL) : found;
	}
	if (size > space_left) {
		space = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
		if (space == MAP_FAILED)
			abort();
		space_left = chunk;
	}
	found = space;
	space += size;
	space_left -= size;
	return found;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

ssize_t peek(void *to, const void *from, size_t length)
{
	struct iovec here = { to, length }, there = { (void *)from, length };

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0);
}
