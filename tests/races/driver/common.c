/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The two threads, the account of the events, the files. */
#include "races.h"

#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>

struct tally tally;
long patience_s = 10;
unsigned long random_state = 1;
struct item items[MANY];
int counter = -1;
struct channel channels[MANY];
int direct = -1;
char *blocks;

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

unsigned long random_below(unsigned long limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

bool goes_on(void)
{
	/* After a loss each race would take its ten seconds. */
	return tally.races < tally.wanted && tally.lost == 0 && now_ns() < tally.end_ns;
}

void wrong(const char *format, ...)
{
	va_list arguments;

	if (ADD(tally.wrong, 1) > 20)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void must(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	_exit(2);
}

/* ---- The two threads ---- */

static struct {
	long turn, here, done; /* numbers of meetings */
	long index, lag; /* of this meeting; a positive lag is the main thread's to wait */
	struct moment middle;
	void (*act)(long);
} duel;

static void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

void pause_for(long turns)
{
	for (long i = 0; i < turns; i++)
		relax();
}

void idle(unsigned *turns)
{
	++*turns;
	if (*turns < 4000)
		relax();
	else if (*turns < 6000)
		sched_yield();
	else
		nanosleep(&(struct timespec){ 0, 50000 }, NULL);
}

static void *other(void *unused)
{
	for (long meeting = 1;; meeting++) {
		unsigned turns = 0;

		while (LOAD(duel.turn) != meeting)
			idle(&turns);
		STORE(duel.here, meeting);
		pause_for(-duel.lag);
		duel.act(duel.index);
		STORE(duel.done, meeting);
	}
	return unused;
}

void start_other(void (*act)(long))
{
	pthread_t thread;

	duel.act = act;
	must(pthread_create(&thread, NULL, other, NULL) == 0, "pthread_create");
}

void meet(long index)
{
	/* Not always the same moment: around the one where both are equally fast. */
	long spread = labs(duel.middle.turns) / 8 + 16;
	unsigned turns = 0;

	duel.index = index;
	duel.lag = duel.middle.turns + (long)random_below((unsigned long)spread * 2) - spread;
	STORE(duel.turn, duel.turn + 1);
	while (LOAD(duel.here) != duel.turn)
		idle(&turns);
	pause_for(duel.lag);
}

void part(void)
{
	unsigned turns = 0;

	while (LOAD(duel.done) != duel.turn)
		idle(&turns);
}

void count(int who)
{
	tally.races++;
	tally.first += who > 0;
	tally.second += who < 0;
	tally.neither += who == 0;
}

void tune(struct moment *moment, int who)
{
	const long most = 3000000;

	/* Larger steps while one side wins again and again, smaller ones when it changes. */
	if (who == moment->last)
		moment->step = moment->step * 3 / 2 + 1;
	else
		moment->step = moment->step / 2;
	if (moment->step > 50000)
		moment->step = 50000;
	if (moment->step < 2)
		moment->step = moment->last ? 2 : 64;
	moment->last = who;
	moment->turns += who * moment->step;
	if (moment->turns > most)
		moment->turns = most;
	if (moment->turns < -most)
		moment->turns = -most;
}

void outcome(int who)
{
	count(who);
	if (who)
		tune(&duel.middle, who);
}

/* ---- Requests ---- */

io_context_t new_context(int nr)
{
	uint64_t end = now_ns() + 15000000000ul;
	io_context_t ctx = 0;
	int error;

	/* Other tests may hold all of fs.aio-max-nr for a while. */
	while ((error = io_setup(nr, &ctx)) == -EAGAIN && now_ns() < end)
		usleep(10000);
	errno = -error;
	must(error == 0, "io_setup");
	return ctx;
}

void due(int index, bool signals)
{
	static unsigned long number;
	struct item *item = &items[index];

	item->number = ++number;
	item->iocb.data = (void *)item->number;
	if (signals)
		io_set_eventfd(&item->iocb, counter);
	STORE(item->seen, 0);
}

void not_due(int index)
{
	if (ADD(items[index].seen, 1) != 1)
		wrong("an event of a refused iocb");
}

int seen(int index)
{
	return LOAD(items[index].seen);
}

void note(const struct io_event *events, long count)
{
	for (long i = 0; i < count; i++) {
		size_t offset = (size_t)((char *)events[i].obj - (char *)items);
		struct item *item = (struct item *)(void *)events[i].obj;

		if (offset >= sizeof(items) || offset % sizeof(*item)) {
			wrong("an event of no iocb: %p", (void *)events[i].obj);
			continue;
		}
		if ((unsigned long)events[i].data != item->number || events[i].res2)
			wrong("an event of submission %lu, not %lu, res2 %ld",
			      (unsigned long)events[i].data, item->number, (long)events[i].res2);
		item->res = (long)events[i].res;
		if (ADD(item->seen, 1) > 1 && ADD(tally.doubled, 1) < 20)
			fprintf(stderr, "a second event of submission %lu, res %ld\n", item->number,
				item->res);
	}
}

long take(io_context_t ctx)
{
	struct io_event events[MANY];
	int got = io_getevents(ctx, 0, MANY, events, &(struct timespec){ 0, 0 });

	note(events, got);
	return got;
}

void all_seen(io_context_t ctx, int count)
{
	uint64_t end = now_ns() + (uint64_t)patience_s * 1000000000ul;

	for (int i = 0; i < count; i++) {
		while (!seen(i) && now_ns() < end) {
			struct io_event events[MANY];
			struct timespec timeout = { patience_s, 0 };
			int got = io_getevents(ctx, 1, MANY, events, &timeout);

			if (got < 0 && got != -EINTR) {
				wrong("io_getevents: %d", got);
				break;
			}
			note(events, got);
		}
		if (!seen(i)) {
			tally.lost++;
			fprintf(stderr, "lost: no event of submission %lu\n", items[i].number);
		}
	}
	take(ctx);
}

void counted(long count)
{
	struct pollfd readable = { counter, POLLIN, 0 };
	uint64_t end = now_ns() + (uint64_t)patience_s * 1000000000ul, value;
	long total = 0;

	while (total < count && now_ns() < end) {
		must(poll(&readable, 1, (int)patience_s * 1000) != -1 || errno == EINTR, "poll");
		if (read(counter, &value, sizeof(value)) == sizeof(value))
			total += (long)value;
	}
	if (read(counter, &value, sizeof(value)) == sizeof(value))
		total += (long)value;
	if (total != count)
		wrong("the eventfd was signalled %ld times, not %ld", total, count);
}

/* ---- Files ---- */

void need_channels(void)
{
	for (int i = 0; i < MANY; i++) {
		int ends[2];

		must(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "pipe2");
		channels[i] = (struct channel){ ends[0], ends[1] };
	}
}

void feed(int index)
{
	must(write(channels[index].out, "x", 1) == 1, "write to a pipe");
}

void drain(int index)
{
	char bytes[64];

	while (read(channels[index].in, bytes, sizeof(bytes)) > 0)
		;
}

void need_direct(void)
{
	int plain = open("direct", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	blocks = mmap(NULL, (size_t)(MANY * PAGE), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(plain != -1 && blocks != MAP_FAILED, "open and mmap");
	memset(blocks, 'd', (size_t)(MANY * PAGE));
	must(write(plain, blocks, (size_t)(MANY * PAGE)) == MANY * PAGE && fsync(plain) == 0,
	     "write and fsync");
	close(plain);
	direct = open("direct", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (direct == -1 && errno == EINVAL) {
		printf("no O_DIRECT here\n");
		exit(77);
	}
	must(direct != -1, "open for direct I/O");
}
