/* not: uring: the kernel completes requests of io_uring in the thread that submitted them */
/* Description: direct I/O completes, and others get its events and signals, while the thread that
 * submitted it is held in vfork or busy in a long system call. */
#include "pending.h"

#define MANY 16
#define HELD_MS 800

static io_context_t ctx;
static int file, resfd;
static char *memory;
static struct iocb iocbs[MANY];

static void submit_all(bool is_signalled)
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		if (is_signalled)
			io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

/* The parent cannot run until the child has gone, and nothing but a kill wakes it. */
static void in_vfork(void)
{
	struct timespec nap = { HELD_MS / 1000, HELD_MS % 1000 * 1000000 };
	int status;
	pid_t child = vfork();

	if (child == 0) {
		syscall(SYS_nanosleep, &nap, NULL);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0));
}

static void *submitter(void *is_signalled)
{
	submit_all(is_signalled != NULL);
	in_vfork();
	return NULL;
}

static void with(bool is_signalled)
{
	pthread_t thread = start(submitter, is_signalled ? (void *)1 : NULL);
	struct io_event events[MANY];
	long begin = now_ms(), took;

	if (is_signalled)
		expect(take_counts(resfd, MANY), MANY, "count");
	expect(reap(ctx, MANY, MANY, events), MANY, "events");
	took = now_ms() - begin;
	fact("%s: %s", is_signalled ? "with an eventfd" : "io_getevents",
	     took < HELD_MS / 2 ? "at once" : "when vfork has returned");
	CHECK(took < HELD_MS / 2);
	join(thread);
}

int main(void)
{
	file = scratch_direct("file", MANY * PAGE, 'f');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	memory = pages(MANY, PROT_READ | PROT_WRITE);
	ctx = new_context(MANY);
	with(false);
	with(true);
	end_context(ctx);
	return finish();
}
