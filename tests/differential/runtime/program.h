/* A whole program: begin(), any number of call(FUNCTION, INTEGERS...), end(). */
#ifndef RUNTIME_PROGRAM_H
#define RUNTIME_PROGRAM_H

#include "actions.h"

static const struct {
	const char *name;
	void (*function)(const long *);
} functions[] = {
#define ENTRY(name) { #name, name }
	ENTRY(setup),	ENTRY(destroy),	 ENTRY(file),	   ENTRY(iocb),	  ENTRY(submit),    ENTRY(collect),
	ENTRY(getevents), ENTRY(cancel), ENTRY(queue_run), ENTRY(queue_wait), ENTRY(head),  ENTRY(feed),
	ENTRY(drain),	ENTRY(fill),	 ENTRY(hang_up),   ENTRY(shut),	  ENTRY(replace),   ENTRY(flag),
	ENTRY(cut),	ENTRY(limit),	 ENTRY(interrupt), ENTRY(mask),	  ENTRY(count),	    ENTRY(child),
	ENTRY(meet),
#undef ENTRY
};

#define call(function, ...) function((const long[]){ __VA_ARGS__, 0, 0, 0, 0 })

static void begin(void)
{
	static const int handled[] = { SIGUSR1, SIGPIPE, SIGXFSZ, SIGALRM };
	struct sigaction action = { .sa_handler = handler };

	map(memory, sizeof(*memory), PROT_READ | PROT_WRITE);
	map(edge, PAGE, PROT_READ | PROT_WRITE);
	map(no_access, PAGE, PROT_NONE);
	map(read_only, PAGE, PROT_READ);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaction(handled[i], &action, NULL);
	make_rescue();
	for (int i = 0; i < IOCBS; i++)
		memory->iocbs[i].aio_fildes = -1;
	for (int i = 0; i < FILES; i++)
		files[i] = (struct file){ .kind = CLOSED, .inode = -1 };
}

/* Tells what is left, and ends. */
static void end(void)
{
	const long at_end[] = { 0, 0, LIBRARY, 0 };
	sigset_t mask;

	for (long c = 0; c < CONTEXTS; c++)
		collect_from(c, LIBRARY);
	for (long c = 0; c < CONTEXTS; c++) {
		const long arguments[] = { at_end[0], c, LIBRARY, 0 };

		if (is_alive[c])
			destroy_here(arguments);
	}
	nap(1500);
	for (long i = 0; i < FILES; i++)
		tell_file(i);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	tell("end: SIGUSR1 %s, SIGALRM %s", sigismember(&mask, SIGUSR1) ? "blocked" : "open",
	     sigismember(&mask, SIGALRM) ? "blocked" : "open");
	tell_signals();
	tell("\n");
}

#endif
