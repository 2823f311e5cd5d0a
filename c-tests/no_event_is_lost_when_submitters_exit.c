/* Description: threads submit a batch of direct reads, cold reads and syncs each and exit at once:
 * whoever reaps gets every event, once, and none is cancelled. */
#include "check.h"

#define REQUESTS 100000
#define BATCH 32
#define BLOCKS 256
#define STARTERS 2

static io_context_t ctx;
static int direct, plain, synced;
static char *memory;
static unsigned char seen[REQUESTS];
static long next;

static void prepare(struct iocb *iocb, long number)
{
	long block = number % BLOCKS;

	if (number % 1000 == 997) {
		/* Something to sync. */
		MUST(pwrite(synced, "x", 1, block));
		io_prep_fsync(iocb, synced);
	} else if (number % 200 == 199) {
		io_prep_fdsync(iocb, synced);
	} else if (number % 50 == 49) {
		posix_fadvise(plain, block * (long)PAGE, PAGE, POSIX_FADV_DONTNEED);
		io_prep_pread(iocb, plain, memory + block * (long)PAGE, PAGE, block * (long)PAGE);
	} else {
		io_prep_pread(iocb, direct, memory + block * (long)PAGE, PAGE, block * (long)PAGE);
	}
	iocb->data = &seen[number];
}

/* One batch, and no moment longer. */
static void *submitter(void *argument)
{
	struct iocb iocbs[BATCH], *list[BATCH];
	long base = (long)argument;
	int done = 0, got;

	for (int i = 0; i < BATCH; i++) {
		prepare(&iocbs[i], base + i);
		list[i] = &iocbs[i];
	}
	while (done < BATCH) {
		got = io_submit(ctx, BATCH - done, list + done);
		if (got > 0)
			done += got;
		else if (got == -EAGAIN)
			sched_yield();
		else
			break;
	}
	if (done < BATCH)
		fail("io_submit: %s", code(got));
	return NULL;
}

static void *starter(void *argument)
{
	long base;

	(void)argument;
	while ((base = __atomic_fetch_add(&next, BATCH, __ATOMIC_RELAXED)) < REQUESTS)
		join(start(submitter, (void *)base));
	return NULL;
}

static void reap_all(void)
{
	struct io_event events[64];
	long total = 0, cancelled = 0, wrong = 0;

	while (total < REQUESTS) {
		int got = reap(ctx, 1, COUNT(events), events);

		if (got <= 0) {
			fail("io_getevents after %ld events: %s", total, code(got));
			return;
		}
		for (int i = 0; i < got; i++) {
			unsigned char *data = events[i].data;
			long number = data - seen, res = event_res(&events[i]);
			bool is_sync = number % 1000 == 997 || number % 200 == 199;

			seen[number]++;
			cancelled += res == -ECANCELED;
			wrong += res != (is_sync ? 0 : (long)PAGE);
		}
		total += got;
	}
	expect(total, REQUESTS, "events");
	expect(cancelled, 0, "cancelled");
	expect(wrong, 0, "with another result than asked for");
}

int main(void)
{
	pthread_t starters[STARTERS];
	long wrong = 0;

	direct = scratch_direct("file", BLOCKS * PAGE, 0);
	plain = scratch("file", 0);
	synced = scratch("synced", 0);
	memory = pages(BLOCKS, PROT_READ | PROT_WRITE);
	for (int i = 0; i < BLOCKS; i++) {
		memset(memory, 'a' + i % 26, PAGE);
		MUST(pwrite(plain, memory, PAGE, i * (long)PAGE));
	}
	MUST(fsync(plain));
	ctx = new_context(512);
	for (int i = 0; i < STARTERS; i++)
		starters[i] = start(starter, NULL);
	reap_all();
	for (int i = 0; i < STARTERS; i++)
		join(starters[i]);
	for (long i = 0; i < REQUESTS; i++)
		wrong += seen[i] != 1;
	expect(wrong, 0, "requests without exactly one event");
	expect(drain(ctx), 0, "more events");
	for (int i = 0; i < BLOCKS; i++)
		CHECK(filled_with(memory + i * PAGE, 'a' + i % 26, PAGE));
	end_context(ctx);
	return finish();
}
