/* Signal handlers that jump out of what they have interrupted. */
#ifndef JUMPING_H
#define JUMPING_H

#include "pending.h"

#include <setjmp.h>
#include <sys/time.h>

static _Thread_local sigjmp_buf jump_target;
static _Thread_local volatile sig_atomic_t may_jump;
static volatile long jumps;

static inline void jump_handler(int signal)
{
	(void)signal;
	if (may_jump) {
		may_jump = 0;
		__atomic_fetch_add(&jumps, 1, __ATOMIC_RELAXED);
		siglongjmp(jump_target, 1);
	}
}

static inline void jump_on(int signal)
{
	struct sigaction action = { .sa_handler = jump_handler };

	MUST(sigaction(signal, &action, NULL));
}

static inline void alarm_in(long microseconds)
{
	struct itimerval once = { .it_value.tv_usec = microseconds };

	MUST(setitimer(ITIMER_REAL, &once, NULL));
}

/* Does something, out of which a handler may jump. */
#define JUMP_OUT_OF(what) \
	do { \
		if (!sigsetjmp(jump_target, 1)) { \
			may_jump = 1; \
			what; \
			may_jump = 0; \
		} \
	} while (0)

/* A wait that does not end before the jump. */
static inline int wait_long(io_context_t ctx)
{
	struct timespec span = { 20, 0 };
	struct io_event events[8];

	return io_getevents(ctx, 5, 8, events, &span);
}

/* Writes over what calls have left on the stack. */
static inline void overwrite_stack(void)
{
	char memory[20000];

	memset(memory, 0xff, sizeof(memory));
	__asm__ volatile("" : : "r"(memory) : "memory");
}

/* One request from the submission to its event. */
static inline void read_once(io_context_t ctx, int file, void *buffer)
{
	struct iocb iocb;

	io_prep_pread(&iocb, file, buffer, PAGE, 0);
	submit_accepted(ctx, &iocb);
	CHECK(reap_event_of(ctx, &iocb) == PAGE);
}

#endif
