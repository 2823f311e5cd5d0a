/* Description: a thread jumps out of its calls and never calls again; others go on: they wait for what it
 * waited for, and destroy the context. */
#include "jumping.h"

/* Milliseconds in which something happens that does not wait for the thread. */
#define SOON 3000

static io_context_t ctx;
static int file;
static char *memory;
static pthread_barrier_t left, over;

static void *leaves(void *argument)
{
	void (*body)(void) = (void (*)(void))argument;

	for (volatile int i = 0; i < 3; i++)
		JUMP_OUT_OF(body());
	pthread_barrier_wait(&left);
	pthread_barrier_wait(&over);
	return NULL;
}

/* The thread has left its calls. */
static pthread_t leaver(void (*body)(void))
{
	pthread_t thread;

	jumps = 0;
	thread = start(leaves, (void *)body);
	/* Again and again: one that comes between two calls has no effect. */
	while (jumps < 3) {
		sleep_ms(20);
		pthread_kill(thread, SIGUSR1);
	}
	pthread_barrier_wait(&left);
	return thread;
}

static void waits(void)
{
	wait_long(ctx);
}

static void waits_with_mask(void)
{
	struct timespec span = { 20, 0 };
	struct io_event events[8];
	sigset_t mask;

	sigemptyset(&mask);
	io_pgetevents(ctx, 5, 8, events, &span, &mask);
}

static struct channel blocked;

static void submits(void)
{
	static char byte;
	struct iocb iocb, *list = &iocb;

	io_prep_pread(&iocb, blocked.in, &byte, 1, 0);
	io_submit(ctx, 1, &list);
}

static void destroy(const char *what)
{
	long begin = now_ms();

	CHECK(io_destroy(ctx) == 0);
	CHECK(now_ms() - begin < SOON);
	fact("%s: destroyed", what);
}

static void run(const char *what, void (*body)(void), bool polls, bool reads)
{
	struct channel channel = new_pipe();
	struct iocb iocb;
	pthread_t thread;
	long begin;

	ctx = new_context(16);
	if (polls)
		submit_poll(ctx, &iocb, channel.in, POLLIN);
	thread = leaver(body);
	if (polls) {
		begin = now_ms();
		feed(channel.out);
		CHECK(reap_event_of(ctx, &iocb) & POLLIN);
		CHECK(now_ms() - begin < SOON);
	}
	if (reads)
		read_once(ctx, file, memory);
	destroy(what);
	pthread_barrier_wait(&over);
	join(thread);
	close_channel(channel);
}

int main(void)
{
	memory = pages(1, PROT_READ | PROT_WRITE);
	file = scratch_direct("file", PAGE, 'f');
	blocked = new_pipe();
	MUST(-pthread_barrier_init(&left, NULL, 2));
	MUST(-pthread_barrier_init(&over, NULL, 2));
	jump_on(SIGUSR1);
	run("idle waits", waits, false, true);
	run("idle waits, nothing else", waits, false, false);
	run("waits for a poll", waits, true, true);
	run("waits with a mask", waits_with_mask, true, true);
	run("blocking submissions", submits, false, false);
	return finish();
}
