/* Description: io_destroy does not wait for threads that have ended in a handler above their io_getevents,
 * whoever brings the events of the context. */
#include "pending.h"

static io_context_t ctx;
static int file, resfd;
static char *memory;

static void end_thread(int unused)
{
	(void)unused;
	pthread_exit(NULL);
}

static void *wait_for_two(void *unused)
{
	struct io_event events[2];

	(void)unused;
	io_getevents(ctx, 2, 2, events, NULL);
	return NULL;
}

static void run(const char *what, bool is_signalled)
{
	struct iocb iocb;
	pthread_t thread;

	ctx = new_context(8);
	io_prep_pread(&iocb, file, memory, PAGE, 0);
	if (is_signalled)
		io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	expect(reap_event_of(ctx, &iocb), (long)PAGE, "%s: read", what);
	thread = start(wait_for_two, NULL);
	sleep_ms(20);
	pthread_kill(thread, SIGUSR1);
	join(thread);
	expect(io_destroy(ctx), 0, "%s: io_destroy", what);
}

int main(void)
{
	struct sigaction action = { .sa_handler = end_thread };

	MUST(sigaction(SIGUSR1, &action, NULL));
	file = scratch_direct("file", PAGE, 'f');
	memory = pages(1, PROT_READ | PROT_WRITE);
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	for (int round = 0; round < 3; round++) {
		run("direct I/O", false);
		run("with an eventfd", true);
	}
	return finish();
}
