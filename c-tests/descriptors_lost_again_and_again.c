/* only: uaio: the kernel's AIO has no descriptors */
/* timeout: 90 */
/* Description: a thread closes every descriptor that the program has not opened, again and again, at
 * any moment, or replaces them with files of the program's while requests wait: polls, direct reads,
 * syncs, with an eventfd and without. No event is lost or doubled, eventfds count each, and nothing is
 * written to, read from, or closed of what is the program's. */
#include "pending.h"

#include <dirent.h>
#include <stdatomic.h>

#define FIRST 3
#define LAST 640
#define SIZE 65536ul
/* Of each kind, in one round. */
#define POLLS 10
#define READS 4
#define SYNCS 2
#define MANY (POLLS + READS + SYNCS)
/* Passes of the hostile thread, at least: at any moment, and in rounds. */
#define PASSES 120
#define ROUNDS 40

static io_context_t ctx;
static struct channel channels[POLLS];
static int resfd, direct, victims[3];
/* The program's own numbers, and which victim the hostile thread has put at a number (+ 1). */
static bool is_ours[LAST];
static unsigned char put[LAST];
static struct stat victim_stat[COUNT(victims)];
static atomic_int passes, is_over, stolen;
static unsigned random_state = 1;

static unsigned roll(unsigned below)
{
	random_state = random_state * 1103515245u + 12345u;
	return (random_state >> 16) % below;
}

static bool is_victim(int fd, int victim)
{
	struct stat now;

	return fstat(fd, &now) == 0 && now.st_dev == victim_stat[victim].st_dev &&
		now.st_ino == victim_stat[victim].st_ino;
}

/* Takes all numbers away once. What it has put somewhere is the program's, and stays for a pass. */
static void pass(bool replaces)
{
	for (int fd = FIRST; fd < LAST; fd++) {
		if (is_ours[fd])
			continue;
		if (put[fd]) {
			if (!is_victim(fd, put[fd] - 1))
				atomic_fetch_add(&stolen, 1);
			put[fd] = 0;
			close(fd);
		} else if (fcntl(fd, F_GETFD) == -1) {
			continue;
		} else if (replaces) {
			unsigned victim = roll(COUNT(victims));

			if (dup2(victims[victim], fd) == fd)
				put[fd] = (unsigned char)(victim + 1);
		} else {
			close(fd);
		}
	}
}

static void *take_away(void *argument)
{
	(void)argument;
	while (!is_over) {
		usleep(200 + roll(4000));
		pass(false);
		atomic_fetch_add(&passes, 1);
	}
	return NULL;
}

struct tally {
	long rounds, events, strangers, good, bad, late;
};

static void submit_all(struct iocb iocbs[MANY], char *memory)
{
	struct iocb *list[MANY];
	int done = 0;

	for (int i = 0; i < MANY; i++) {
		if (i < POLLS)
			io_prep_poll(&iocbs[i], channels[i].in, POLLIN);
		else if (i < POLLS + READS)
			io_prep_pread(&iocbs[i], direct, memory + (i - POLLS) * PAGE, PAGE,
				      (i - POLLS) * (long)PAGE);
		else
			io_prep_fdsync(&iocbs[i], direct);
		if (i % 2)
			io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	/* A poll, alone; then batches. A refusal for the moment is possible: the number went away. */
	for (int tries = 0; done < MANY && tries < 10000;) {
		int got = io_submit(ctx, done == 0 ? 1 : MANY - done, list + done);

		if (got > 0)
			done += got;
		else
			tries++;
	}
	if (done < MANY)
		die("io_submit goes on refusing");
}

/* Takes events, `wanted` or what comes in 8 s. Returns their number. */
static int take_events(struct tally *tally, const struct iocb *iocbs, bool *seen, int wanted)
{
	struct io_event events[MANY];
	long begin = now_ms();
	int got = 0;

	while (got < wanted && now_ms() < begin + 8000) {
		int more = io_getevents(ctx, 1, MANY, events, &(struct timespec){ 1, 500000000 });

		for (int i = 0; i < more; i++) {
			long index = events[i].obj - iocbs;
			long res = event_res(&events[i]);

			if (index < 0 || index >= MANY || seen[index]) {
				tally->strangers++;
				continue;
			}
			seen[index] = true;
			got++;
			if (index < POLLS ? res > 0 && (res & POLLIN) :
			    index < POLLS + READS ? res == (long)PAGE : res == 0)
				tally->good++;
			else
				fprintf(stderr, "request %ld: %s\n", index, code(res));
		}
	}
	tally->late += now_ms() - begin > 500;
	return got;
}

/* Whether all other threads sleep: on a busy machine they may be in the middle of something for long. */
static bool others_sleep(void)
{
	DIR *tasks = opendir("/proc/self/task");
	bool do_sleep = true;

	if (!tasks)
		die("/proc/self/task");
	for (struct dirent *entry; (entry = readdir(tasks));) {
		int tid = atoi(entry->d_name);

		do_sleep &= tid == 0 || tid == own_tid() || is_asleep(tid);
	}
	closedir(tasks);
	return do_sleep;
}

/* One round; replaces: everything is replaced while the polls wait. */
static void round_of(struct tally *tally, char *memory, bool replaces)
{
	static struct iocb iocbs[MANY];
	bool seen[MANY] = { false };
	int got = 0;

	submit_all(iocbs, memory);
	if (replaces) {
		/* Between the library's look at a number and the close that follows, another thread may
		 * be faster: reads and syncs end first, and what it has lost the last time is made good. */
		got = take_events(tally, iocbs, seen, READS + SYNCS);
		sleep_ms(30);
		EVENTUALLY(others_sleep());
		pass(true);
	} else if (tally->rounds % 3) {
		usleep(3000);
	}
	for (int i = 0; i < POLLS; i++)
		feed(channels[i].out);
	got += take_events(tally, iocbs, seen, MANY - got);
	for (int i = 0; i < MANY; i++)
		if (!seen[i])
			fprintf(stderr, "request %d: no event\n", i);
	tally->events += got;
	tally->rounds++;
	for (int i = 0; i < POLLS; i++) {
		char byte;

		MUST(read(channels[i].in, &byte, 1));
	}
}

static void check_victims(void)
{
	static char block[SIZE];

	for (int i = 0; i < 2; i++) {
		struct stat now;

		MUST(fstat(victims[i], &now));
		expect((long)now.st_size, (long)SIZE, "size of file %d", i);
		expect(lseek(victims[i], 0, SEEK_CUR), 100, "offset of file %d", i);
		expect(pread(victims[i], block, SIZE, 0), (long)SIZE, "file %d", i);
		CHECK(filled_with(block, 'v', SIZE));
	}
	expect(take_count(victims[2]), 7, "count of the program's own eventfd");
}

static void open_files(void)
{
	struct rlimit limit = { LAST, LAST };

	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	direct = scratch_direct("direct", 16 * PAGE, 'd');
	victims[0] = scratch_filled("victim0", 0, SIZE, 'v');
	victims[1] = scratch_filled("victim1", O_APPEND, SIZE, 'v');
	victims[2] = (int)MUST(eventfd(7, EFD_NONBLOCK));
	for (size_t i = 0; i < COUNT(victims); i++)
		MUST(fstat(victims[i], &victim_stat[i]));
	for (int i = 0; i < 2; i++)
		MUST(lseek(victims[i], 100, SEEK_SET));
	resfd = (int)MUST(eventfd(0, EFD_NONBLOCK));
	for (int i = 0; i < POLLS; i++)
		channels[i] = new_pipe();
	for (int fd = FIRST; fd < LAST; fd++)
		is_ours[fd] = fcntl(fd, F_GETFD) != -1;
}

int main(void)
{
	struct tally tally = { 0 };
	long counts = 0, begin = now_ms();
	pthread_t hostile;
	char *memory;

	open_files();
	memory = pages(READS, PROT_READ | PROT_WRITE);
	ctx = new_context(4 * MANY);
	for (int i = 0; i < ROUNDS; i++) {
		round_of(&tally, memory, true);
		counts += take_count(resfd);
	}
	hostile = start(take_away, NULL);
	while (passes < PASSES && now_ms() < begin + 60000) {
		round_of(&tally, memory, false);
		counts += take_count(resfd);
	}
	is_over = 1;
	join(hostile);
	end_context(ctx);
	sleep_ms(20);
	counts += take_count(resfd);
	/* What was put somewhere last. */
	pass(false);

	fprintf(stderr, "%ld rounds, %d + %d passes, %ld ms, %ld rounds late\n", tally.rounds, ROUNDS,
		passes, now_ms() - begin, tally.late);
	CHECK(passes >= PASSES);
	expect(tally.events - tally.rounds * MANY, 0, "events lost");
	expect(tally.strangers, 0, "events doubled, or of nobody");
	expect(tally.good - tally.events, 0, "wrong results");
	expect(counts - tally.rounds * (MANY / 2), 0, "counts of the eventfd lost or doubled");
	expect(stolen, 0, "numbers of the program's that were closed");
	check_victims();
	CHECK(filled_with(memory, 'd', READS * PAGE));
	return finish();
}
