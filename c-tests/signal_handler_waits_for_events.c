/* Description: a signal handler that has interrupted io_getevents waits on the same context itself,
 * for direct I/O, a sync, and a poll that becomes ready meanwhile; then the interrupted call
 * ends. */
#include "pending.h"

#include <signal.h>
#include <sys/time.h>

static io_context_t ctx;
static struct iocb mine, other;
static volatile long calls, answer;

static void handler(int signal)
{
	struct io_event event;
	struct iocb *list[] = { &mine };

	(void)signal;
	calls++;
	answer = io_submit(ctx, 1, list);
	if (answer != 1)
		return;
	answer = io_getevents(ctx, 1, 1, &event, NULL);
	if (answer == 1)
		answer = event.obj == &mine ? event_res(&event) : -ENOMSG;
	/* The kernel tells more than was asked for. */
	if (answer > 0 && mine.aio_lio_opcode == IO_CMD_POLL)
		answer &= POLLIN;
}

static void *feed_later(void *argument)
{
	struct channel *channel = argument;

	sleep_ms(150);
	feed(channel->out);
	return NULL;
}

/* What the main thread waits for never comes. */
static void interrupt(const char *what, long want)
{
	struct itimerval soon = { .it_value.tv_usec = 50000 };
	struct io_event event;

	calls = 0;
	MUST(setitimer(ITIMER_REAL, &soon, NULL));
	expect(io_getevents(ctx, 1, 1, &event, NULL), -EINTR, "interrupted by a handler with a %s", what);
	expect(calls, 1, "calls of the handler");
	expect(answer, want, "%s", what);
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler };
	int direct = scratch_direct("file", PAGE, 'd');
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct channel never = new_pipe(), later = new_pipe();
	pthread_t thread;

	MUST(sigaction(SIGALRM, &action, NULL));
	/* With nothing else in flight, and beside a poll. */
	for (int polls = 0; polls < 2; polls++) {
		ctx = new_context(8);
		if (polls)
			submit_poll(ctx, &other, never.in, POLLIN);
		io_prep_pread(&mine, direct, buffer, PAGE, 0);
		interrupt("direct read", PAGE);
		io_prep_fsync(&mine, direct);
		interrupt("sync", 0);
		io_prep_poll(&mine, later.in, POLLIN);
		thread = start(feed_later, &later);
		interrupt("poll", POLLIN);
		join(thread);
		empty_out(later.in);
		end_context(ctx);
	}
	return finish();
}
