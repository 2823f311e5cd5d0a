/* Description: signal handlers jump out of calls that sleep in io_getevents and io_pgetevents, in
 * every way of sleeping, again and again: the context works as if nothing had happened. */
#include "jumping.h"

#define ROUNDS 40

static io_context_t ctx;
static int direct, buffered, resfd;
static char *memory;
static struct io_event events[8];

static void after(void)
{
	read_once(ctx, direct, memory);
	read_once(ctx, buffered, memory);
}

/* The alarm is set where the handler may jump already, however late this thread gets to the wait. */
static void wait_for_alarm(void)
{
	alarm_in(3000);
	wait_long(ctx);
}

/* Nothing is in flight. */
static void idle(void)
{
	JUMP_OUT_OF(wait_for_alarm());
}

/* With another signal mask. */
static void masked(void)
{
	struct timespec span = { 20, 0 };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	JUMP_OUT_OF(alarm_in(3000); io_pgetevents(ctx, 1, 8, events, &span, &mask));
}

/* Out of three waits, before anything else is called. */
static void thrice(void)
{
	for (int i = 0; i < 3; i++)
		idle();
}

/* A poll is pending: it completes afterwards. */
static void polling(void)
{
	struct channel channel = new_pipe();
	struct iocb iocb;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	JUMP_OUT_OF(wait_for_alarm());
	feed(channel.out);
	CHECK(reap_event_of(ctx, &iocb) & POLLIN);
	close_channel(channel);
}

/* Reads are on their way, or done; events that the wait has taken are lost. */
static void reading(void)
{
	struct iocb iocbs[4], *list[4];
	struct timespec moment = { 0, 1000000 };

	for (int i = 0; i < 4; i++) {
		io_prep_pread(&iocbs[i], direct, memory + i * PAGE, PAGE, i * (long)PAGE);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, 4, list) == 4);
	alarm_in(100);
	JUMP_OUT_OF(io_getevents(ctx, 4, 4, events, &moment));
	alarm_in(0);
	EVENTUALLY(io_destroy(ctx) == 0);
	ctx = new_context(64);
}

/* An eventfd shows events, so somebody else brings them. */
static void signalled(void)
{
	struct iocb iocb;

	io_prep_pread(&iocb, direct, memory, PAGE, 0);
	io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	CHECK(reap_event_of(ctx, &iocb) == PAGE);
	JUMP_OUT_OF(wait_for_alarm());
}

static void run(const char *what, void (*body)(void), bool overwrites)
{
	ctx = new_context(64);
	jumps = 0;
	for (int round = 0; round < ROUNDS; round++) {
		body();
		if (overwrites)
			overwrite_stack();
		after();
	}
	if (body != reading)
		fact("%s: %ld jumps", what, jumps);
	end_context(ctx);
}

int main(void)
{
	memory = pages(4, PROT_READ | PROT_WRITE);
	direct = scratch_direct("direct", 4 * PAGE, 'd');
	buffered = scratch_filled("buffered", 0, PAGE, 'b');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	jump_on(SIGALRM);
	run("idle", idle, false);
	run("idle, then over the stack", idle, true);
	run("with a mask", masked, true);
	run("three times", thrice, true);
	run("with a poll", polling, true);
	run("with reads", reading, true);
	run("with an eventfd", signalled, true);
	return finish();
}
