/* Description: a handler forks as io_submit of direct I/O ends, and as io_getevents comes back with a
 * part: both calls return in both processes. */
#include "forking.h"
#include "jumping.h"

#define ROUNDS 5
#define LENGTH (32ul << 20)

static io_context_t ctx;

static void end_child(const char *what)
{
	int status;

	if (child == 0)
		_exit(finish());
	MUST(waitpid(child, &status, 0));
	expect(status, 0, "%s: status of the child", what);
}

/* A write that makes the file longer takes its time; others follow. */
static void submitting(char *memory, int buffered)
{
	struct iocb iocbs[3], *list[3] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	struct io_event events[3];
	int file = (int)MUST(open("longer", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600));

	io_prep_pwrite(&iocbs[0], file, memory, LENGTH, 0);
	io_prep_pread(&iocbs[1], buffered, memory, 1, 0);
	io_prep_pread(&iocbs[2], buffered, memory, 1, 0);
	has_forked = false;
	alarm_in(2000);
	expect(io_submit(ctx, 3, list), 3, "io_submit");
	/* If that was quicker. */
	EVENTUALLY(has_forked);
	end_child("io_submit");
	expect(reap(ctx, 3, 3, events), 3, "its events");
	close(file);
}

static void waiting(char *memory, int file)
{
	struct io_event events[2];
	struct iocb iocb;
	int got;

	io_prep_pread(&iocb, file, memory, PAGE, 0);
	has_forked = false;
	/* Again, if the first one comes before it sleeps. */
	MUST(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 20000 }, { 0, 20000 } }, NULL));
	submit_accepted(ctx, &iocb);
	/* On a busy machine the signal may come before the event. */
	do
		got = io_getevents(ctx, 2, 2, events, NULL);
	while (got == -EINTR && child != 0);
	if (child != 0)
		alarm_in(0);
	CHECK(got == 1 || (child == 0 && got == -EINTR));
	end_child("io_getevents");
}

int main(void)
{
	struct sigaction action = { .sa_handler = fork_once };
	char *memory = pages(LENGTH / PAGE, PROT_READ | PROT_WRITE);
	int file = scratch_direct("direct", PAGE, 'd');
	int buffered = scratch_filled("buffered", 0, PAGE, 'b');

	MUST(sigaction(SIGALRM, &action, NULL));
	memset(memory, 'm', LENGTH);
	ctx = new_context(8);
	for (int round = 0; round < ROUNDS; round++) {
		submitting(memory, buffered);
		waiting(memory, file);
	}
	end_context(ctx);
	return finish();
}
