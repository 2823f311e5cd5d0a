/* Description: io_getevents through syscall(), on a context of the library, waits, is woken by
 * events, is interrupted by signals and ended by io_destroy, as databases expect. */
#include "pending.h"

static io_context_t ctx;
static int tid;
static struct io_event events[4];

static void *body(void *argument)
{
	long got;

	__atomic_store_n(&tid, own_tid(), __ATOMIC_RELEASE);
	got = syscall(SYS_io_getevents, ctx, 1l, 4l, events, argument);
	return (void *)(got == -1 ? -(long)errno : got);
}

static pthread_t start_body(struct timespec *timeout)
{
	pthread_t thread;

	tid = 0;
	thread = start(body, timeout);
	EVENTUALLY(tid && is_asleep(tid));
	return thread;
}

static void expect_end(pthread_t thread, long want, const char *what)
{
	void *got;

	pthread_join(thread, &got);
	expect((long)got, want, "%s", what);
}

int main(void)
{
	struct timespec long_while = { 20, 0 };
	struct channel channel = new_pipe();
	int file = scratch_direct("file", PAGE, 'f');
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct iocb iocb;
	pthread_t thread;

	ctx = new_context(4);
	thread = start_body(NULL);
	io_prep_pread(&iocb, file, buffer, PAGE, 0);
	submit_accepted(ctx, &iocb);
	expect_end(thread, 1, "direct read");
	CHECK(event_is_for(&events[0], &iocb) && event_res(&events[0]) == (long)PAGE);

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	thread = start_body(&long_while);
	feed(channel.out);
	expect_end(thread, 1, "poll");
	CHECK(event_is_for(&events[0], &iocb));

	count_signal(SIGUSR1, SA_RESTART);
	thread = start_body(NULL);
	pthread_kill(thread, SIGUSR1);
	expect_end(thread, -EINTR, "signal");
	expect(signals_seen[SIGUSR1], 1, "handlers run");

	thread = start_body(NULL);
	expect(io_destroy(ctx), 0, "io_destroy");
	expect_end(thread, -EINVAL, "destroyed");
	return finish();
}
