/* not: uring: where the kernel waits, nobody learns of a handler if there is an event */
/*
 * Description: handlers that come at any time, while the thread waits for a read that it may do itself,
 * run once for each signal, and the read is read: by a call of io_getevents that returned -EINTR and the
 * next one, or by that call. A wait for more than there will be ends when a handler has run.
 */
#include "check.h"

#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t handled;

static void handler(int signal)
{
	(void)signal;
	handled++;
}

static const struct itimerval often = { { 0, 300 }, { 0, 300 } }, never;

/* How often of 100 times it took a second signal: the first, after `delay` µs or some more, may come
 * before the wait begins. */
static int waits_gone_on(io_context_t ctx, int file, char *memory, int delay)
{
	struct io_event events[2];
	struct iocb iocb;
	int gone_on = 0;
	long count;

	for (int i = 0; i < 100; i++) {
		struct itimerval soon = { { 0, 10000 }, { 0, delay + i % 70 } };

		io_prep_pread(&iocb, file, memory, PAGE, 0);
		handled = 0;
		MUST(setitimer(ITIMER_REAL, &soon, NULL));
		CHECK(submit(ctx, &iocb) == 1);
		count = io_getevents(ctx, 2, 2, events, NULL);
		MUST(setitimer(ITIMER_REAL, &never, NULL));
		if (count == -EINTR)
			count = io_getevents(ctx, 1, 2, events, NULL);
		CHECK(count == 1);
		CHECK(event_is_for(&events[0], &iocb));
		gone_on += handled > 1;
	}
	return gone_on;
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	int file = scratch_direct("file", 16 * PAGE, 'x');
	char *memory = pages(1, PROT_READ | PROT_WRITE);
	io_context_t ctx = new_context(4);
	struct io_event event;
	struct iocb iocb;
	int gone_on = 100;
	long count;

	MUST(sigaction(SIGALRM, &action, NULL));
	MUST(setitimer(ITIMER_REAL, &often, NULL));
	for (int i = 0; i < 3000; i++) {
		memset(memory, 0, PAGE);
		io_prep_pread(&iocb, file, memory, PAGE, i % 16 * PAGE);
		expect(submit(ctx, &iocb), 1, "submitted");
		do
			count = io_getevents(ctx, 1, 1, &event, NULL);
		while (count == -EINTR);
		expect(count, 1, "reaped");
		CHECK(event_is_for(&event, &iocb));
		expect(event_res(&event), PAGE, "res");
		CHECK(filled_with(memory, 'x', PAGE));
	}
	MUST(setitimer(ITIMER_REAL, &never, NULL));
	CHECK(handled > 0);
	/* On a busy machine many signals come too early, but not if they are late enough. */
	for (int delay = 40; delay < 5000 && gone_on >= 40; delay *= 4)
		gone_on = waits_gone_on(ctx, file, memory, delay);
	CHECK(gone_on < 40);
	end_context(ctx);
	return finish();
}
