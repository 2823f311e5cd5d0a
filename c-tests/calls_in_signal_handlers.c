/* timeout: 60 */
/* Description: a signal handler submits, cancels and takes events on the context that it has
 * interrupted a call on, thousands of times a second: nothing hangs, no event is lost. */
#include "pending.h"

#include <signal.h>
#include <sys/time.h>

#define SECONDS 3

static io_context_t ctx;
static struct channel channel;
static int buffered, direct;
static char *memory;
static long accepted, taken;
static volatile long signals, wrong;

/* In one instruction, so that a handler does not come in between. */
static void add(long *count, int more)
{
	__atomic_fetch_add(count, more, __ATOMIC_RELAXED);
}

static void take(int min_nr, struct timespec *timeout)
{
	struct io_event events[4];
	int got = io_getevents(ctx, min_nr, 4, events, timeout);

	if (got > 0)
		add(&taken, got);
	else if (got != 0 && got != -EINTR)
		wrong = got;
}

static int send_off(struct iocb *iocb)
{
	int submitted = io_submit(ctx, 1, &iocb);

	if (submitted == 1)
		add(&accepted, 1);
	else if (submitted != -EAGAIN)
		wrong = submitted;
	return submitted;
}

/* One of each kind, and a look for events. */
static void use(unsigned turn, char *buffer)
{
	static const struct timespec zero;
	struct io_event event;
	struct iocb iocb;

	switch (turn % 4) {
	case 0:
		io_prep_pread(&iocb, direct, buffer, PAGE, 0);
		send_off(&iocb);
		break;
	case 1:
		io_prep_pwrite(&iocb, buffered, buffer, 256, 0);
		send_off(&iocb);
		break;
	case 2:
		io_prep_poll(&iocb, channel.in, POLLIN);
		if (send_off(&iocb) == 1) {
			int answer = io_cancel(ctx, &iocb, &event);

			if (answer != -EINPROGRESS && answer != -EAGAIN && answer != -EINVAL)
				wrong = answer;
		}
		break;
	default:
		io_prep_fdsync(&iocb, buffered);
		send_off(&iocb);
	}
	take(0, (struct timespec *)&zero);
}

static void handler(int signal)
{
	(void)signal;
	signals++;
	use((unsigned)signals, memory + PAGE);
}

int main(void)
{
	struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	long end = now_ms() + SECONDS * 1000;
	sigset_t alarms;

	memory = pages(2, PROT_READ | PROT_WRITE);
	buffered = scratch_filled("buffered", 0, PAGE, 'b');
	direct = scratch_direct("direct", PAGE, 'd');
	channel = new_pipe();
	ctx = new_context(1000);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	MUST(sigaction(SIGALRM, &action, NULL));
	MUST(setitimer(ITIMER_REAL, &often, NULL));
	for (unsigned turn = 0; now_ms() < end && !wrong; turn++) {
		struct timespec moment = { 0, 200000 };

		use(turn, memory);
		if (turn % 16 == 0)
			take(1, &moment);
	}
	MUST(setitimer(ITIMER_REAL, &never, NULL));
	MUST(sigprocmask(SIG_BLOCK, &alarms, NULL));
	expect(wrong, 0, "errors");
	/* Polls that could not be cancelled. */
	feed(channel.out);
	while (taken < accepted && !wrong)
		take(1, NULL);
	CHECK(taken == accepted && drain(ctx) == 0);
	fprintf(stderr, "%ld signals, %ld accepted, %ld taken\n", signals, accepted, taken);
	CHECK(signals > 100);
	end_context(ctx);
	return finish();
}
