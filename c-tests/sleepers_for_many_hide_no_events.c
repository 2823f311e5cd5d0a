/* Description: while a thread waits for many events, another one takes those of its own requests, of every
 * kind, as they come: none stays away, and what it leaves wakes the first one. */
#include "pending.h"

#define MANY 16
#define ROUNDS 8000

static io_context_t ctx;

/* Takes `count` events without waiting; how many did not come in time. */
static int take(int count)
{
	struct timespec zero = { 0, 0 };
	struct io_event events[4];
	long end = now_ms() + 5000;

	while (count > 0 && now_ms() < end) {
		int got = io_getevents(ctx, 0, count, events, &zero);

		CHECK(got >= 0);
		count -= got > 0 ? got : 0;
	}
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
	for (int round = 0; round < ROUNDS && !lost; round++) {
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
	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], plain, memory, 1, 0);
		CHECK(submit(ctx, &iocbs[i]) == 1);
	}
	expect(end_waiter(&waiter), MANY, "many");
	end_context(ctx);
	return finish();
}
