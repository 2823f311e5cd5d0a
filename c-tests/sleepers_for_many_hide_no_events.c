/* Description: while a thread waits for many events, another one takes those of its own requests, of every
 * kind, as they come: none stays away for long, and what it leaves wakes the first one. */
#include "pending.h"

#define MANY 16
#define ROUNDS 16000
/* What the sleeper keeps it shows when it looks around. So often a busy machine may be late. */
#define MOST_LATE 2

static io_context_t ctx;
static int late;

/* Takes `count` events without waiting; how many did not come in time. */
static int take(int count)
{
	struct timespec zero = { 0, 0 };
	struct io_event events[4];
	long begin = now_ms(), end = begin + 5000;

	while (count > 0 && now_ms() < end) {
		int got = io_getevents(ctx, 0, count, events, &zero);

		CHECK(got >= 0);
		count -= got > 0 ? got : 0;
		/* valgrind runs one thread at a time. */
		if (now_ms() - begin > 50)
			sleep_ms(1);
	}
	late += now_ms() - begin > 500;
	return count;
}

int main(void)
{
	char *memory = aligned_alloc(PAGE, 4 * PAGE);
	struct iocb iocbs[MANY];
	int plain, direct, lost = 0;
	struct waiter waiter;

	memset(memory, 'x', 4 * PAGE);
	plain = (int)MUST(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(pwrite(plain, memory, 4 * PAGE, 0));
	MUST(fsync(plain));
	direct = open("file", O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (direct == -1)
		skip("no direct I/O here");
	ctx = new_context(128);
	waiter = (struct waiter){ .ctx = ctx, .min_nr = MANY, .nr = MANY };
	/* What is there before it sleeps is its own. */
	start_waiter(&waiter);
	srand(3);
	for (int round = 0; round < ROUNDS && !lost && late <= MOST_LATE; round++) {
		int count = 1 + rand() % 3;

		for (int i = 0; i < count; i++) {
			bool is_direct = rand() & 1;

			io_prep_pread(&iocbs[i], is_direct ? direct : plain, memory + i * (int)PAGE,
				      PAGE, i * (long)PAGE);
			CHECK(submit(ctx, &iocbs[i]) == 1);
		}
		lost = take(count);
	}
	expect(lost, 0, "lost");
	CHECK(late <= MOST_LATE);
	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], plain, memory, 1, 0);
		CHECK(submit(ctx, &iocbs[i]) == 1);
	}
	expect(end_waiter(&waiter), MANY, "many");
	end_context(ctx);
	return finish();
}
