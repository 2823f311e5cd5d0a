/* not: pool: what holds the file for a worker is a descriptor, and closed with the others */
/* Description: a program closes all descriptors above 2, again and again, while direct reads are in
 * flight and a thread sleeps in io_getevents: all events come, and later requests are done. */
#include "pending.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define MANY 16
#define ROUNDS 10

static io_context_t ctx;
static char *memory;

struct sleeper {
	int tid;
	int got;
	struct io_event events[3 * MANY];
};

static void *sleep_for_all(void *argument)
{
	struct sleeper *sleeper = argument;

	__atomic_store_n(&sleeper->tid, own_tid(), __ATOMIC_RELEASE);
	sleeper->got = reap(ctx, 3 * MANY, 3 * MANY, sleeper->events);
	return NULL;
}

static bool is_asleep_now(struct sleeper *sleeper)
{
	int tid = __atomic_load_n(&sleeper->tid, __ATOMIC_ACQUIRE);

	/* Looked at through /proc, which takes a number for a moment. */
	return tid && is_asleep(tid);
}

static void submit_reads(int file, struct iocb iocbs[MANY])
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

static void close_all(void)
{
	if (syscall(SYS_close_range, 3, ~0u, 0))
		skip("no close_range");
}

static int open_file(void)
{
	return (int)MUST(open("file", O_RDWR | O_DIRECT | O_CLOEXEC));
}

int main(void)
{
	static struct iocb iocbs[3][MANY];
	struct io_event event;
	struct iocb last;

	close(scratch_direct("file", MANY * PAGE, 'f'));
	memory = pages(MANY, PROT_READ | PROT_WRITE);
	ctx = new_context(4 * MANY);
	for (int round = 0; round < ROUNDS; round++) {
		struct sleeper sleeper = { 0 };
		struct channel channel;
		int good = 0, file;
		pthread_t thread;

		long begin = now_ms();

		thread = start(sleep_for_all, &sleeper);
		/* Every other round has something in flight when it goes to sleep. */
		if (round % 2)
			EVENTUALLY(is_asleep_now(&sleeper));
		submit_reads(open_file(), iocbs[0]);
		close_all();
		submit_reads(open_file(), iocbs[1]);
		EVENTUALLY(is_asleep_now(&sleeper));
		close_all();
		submit_reads(open_file(), iocbs[2]);
		join(thread);
		/* Not when its ten seconds were over. */
		CHECK(now_ms() - begin < 5000);
		expect(sleeper.got, 3 * MANY, "events");
		for (int i = 0; i < sleeper.got; i++)
			good += event_res(&sleeper.events[i]) == (long)PAGE;
		expect(good, 3 * MANY, "good ones");

		/* Other requests. */
		file = open_file();
		io_prep_fsync(&last, file);
		submit_accepted(ctx, &last);
		expect(reap_event_of(ctx, &last), 0, "fsync");
		channel = new_pipe();
		submit_poll(ctx, &last, channel.in, POLLIN);
		feed(channel.out);
		expect(reap_event_of(ctx, &last) & POLLIN, POLLIN, "poll");
		/* What a request kept open is closed with the rest. */
		close_all();
		CHECK(io_getevents(ctx, 0, 1, &event, &(struct timespec){ 0, 0 }) == 0);
	}
	CHECK(filled_with(memory, 'f', MANY * PAGE));
	end_context(ctx);
	return finish();
}
