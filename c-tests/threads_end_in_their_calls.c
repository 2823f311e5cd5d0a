/* Description: threads end in the middle of io_getevents, by asynchronous cancellation or by pthread_exit
 * in a signal handler: others get the events, and the context can be destroyed. */
#include "jumping.h"

#define ROUNDS 5
#define SOON 3000

static io_context_t ctx;
static int file;
static char *memory;
static long asleep;

static void *waits(void *argument)
{
	sigset_t mask;
	struct timespec span = { 20, 0 };
	struct io_event events[8];

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sigemptyset(&mask);
	__atomic_store_n(&asleep, 1, __ATOMIC_RELEASE);
	io_pgetevents(ctx, 5, 8, events, &span, argument ? &mask : NULL);
	fail("a wait has ended");
	return NULL;
}

static void exits(int signal)
{
	(void)signal;
	pthread_exit(NULL);
}

static void cancel(pthread_t thread)
{
	MUST(-pthread_cancel(thread));
}

static void kill_softly(pthread_t thread)
{
	MUST(-pthread_kill(thread, SIGUSR1));
}

static void run(const char *what, void (*end)(pthread_t), bool polls, bool has_mask)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct channel channel = new_pipe();
		struct iocb iocb;
		pthread_t thread;
		long begin;

		ctx = new_context(16);
		if (polls)
			submit_poll(ctx, &iocb, channel.in, POLLIN);
		__atomic_store_n(&asleep, 0, __ATOMIC_RELAXED);
		thread = start(waits, has_mask ? &has_mask : NULL);
		EVENTUALLY(__atomic_load_n(&asleep, __ATOMIC_ACQUIRE));
		sleep_ms(20);
		end(thread);
		join(thread);
		begin = now_ms();
		if (polls) {
			feed(channel.out);
			CHECK(reap_event_of(ctx, &iocb) & POLLIN);
		}
		read_once(ctx, file, memory);
		CHECK(io_destroy(ctx) == 0);
		CHECK(now_ms() - begin < SOON);
		close_channel(channel);
	}
	fact("%s: %d rounds", what, ROUNDS);
}

int main(void)
{
	struct sigaction action = { .sa_handler = exits };

	memory = pages(1, PROT_READ | PROT_WRITE);
	file = scratch_direct("file", PAGE, 'f');
	MUST(sigaction(SIGUSR1, &action, NULL));
	run("cancelled", cancel, false, false);
	run("cancelled with a poll", cancel, true, false);
	run("cancelled with a mask", cancel, true, true);
	run("exit in a handler", kill_softly, false, false);
	run("exit in a handler with a poll", kill_softly, true, false);
	run("exit in a handler with a mask", kill_softly, true, true);
	return finish();
}
