/* Description: threads that sleep in io_getevents for more than there is use no processor time,
 * with direct I/O, polls or both behind them or in flight, with a mask or an eventfd or neither. */
#include "pending.h"

#define MANY 8
#define NAP_MS 60
/* Of processor time for each sleeper. */
#define MOST_MS 20

static io_context_t ctx;
static int file, resfd;
static char *memory;
static bool has_mask;

static long own_cpu_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void *sleeper(void *argument)
{
	struct timespec nap = { 0, NAP_MS * 1000000 };
	struct io_event events[4 * MANY];
	long before = own_cpu_ms(), begin = now_ms(), min_nr = *(long *)argument;
	sigset_t mask;
	int got;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	if (has_mask)
		got = io_pgetevents(ctx, min_nr, 4 * MANY, events, &nap, &mask);
	else
		got = io_getevents(ctx, min_nr, 4 * MANY, events, &nap);
	CHECK(got >= 0);
	/* To the end of the timeout, and not much longer. */
	CHECK(now_ms() - begin >= NAP_MS - 1 && now_ms() - begin < NAP_MS + 2000);
	if (own_cpu_ms() - before > MOST_MS)
		fail("%ld ms of processor time", own_cpu_ms() - before);
	return NULL;
}

static void submit_reads(struct iocb iocbs[MANY], bool is_signalled)
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		if (i % 4 == 3)
			io_prep_fsync(&iocbs[i], file);
		else
			io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		if (is_signalled)
			io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

enum { BEFORE = 1, DURING = 2, POLL = 4, SIGNALLED = 8, MASK = 16, ALL = 32 };

static void run(int what)
{
	long first = 3 * MANY, second = 4 * MANY - 1;
	struct iocb before[MANY], during[MANY], poll;
	struct channel channel = new_pipe();
	pthread_t one, other;

	ctx = new_context(4 * MANY);
	has_mask = what & MASK;
	if (what & POLL) {
		io_prep_poll(&poll, channel.in, POLLIN);
		if (what & SIGNALLED)
			io_set_eventfd(&poll, resfd);
		submit_accepted(ctx, &poll);
	}
	if (what & BEFORE)
		submit_reads(before, what & SIGNALLED);
	one = start(sleeper, &first);
	other = start(sleeper, &second);
	sleep_ms(10);
	if (what & DURING)
		submit_reads(during, what & SIGNALLED);
	join(one);
	join(other);
	end_context(ctx);
	close_channel(channel);
}

int main(void)
{
	file = scratch_direct("file", MANY * PAGE, 'f');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	memory = pages(MANY, PROT_READ | PROT_WRITE);
	for (int what = 0; what < ALL; what++)
		run(what);
	fact("all slept");
	return finish();
}
