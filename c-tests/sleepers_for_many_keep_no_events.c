/* Description: while a thread waits for many events, another one takes those of its own requests, some of
 * which come by themselves just when others have woken the first one: that keeps none. */
#include "pending.h"

#define MANY 16
#define ROUNDS 20000
/* What a sleeper keeps it shows when it looks around. So often a busy machine may be late. */
#define MOST_LATE 2

static long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Without a system call. */
static void spin_us(long span)
{
	long end = now_us() + span;

	while (now_us() < end)
		;
}

int main(void)
{
	int direct = scratch_direct("file", PAGE, 'x'), plain = scratch("file", 0);
	char *memory = pages(1, PROT_READ | PROT_WRITE), byte;
	io_context_t ctx = new_context(128);
	struct waiter waiter = { .ctx = ctx, .min_nr = MANY, .nr = MANY };
	struct iocb iocbs[MANY];
	/* How long a round takes, most of which is the direct read. */
	long usual = 100, end = now_ms() + 6000;
	int late = 0;

	/* What is there before it sleeps is its own. */
	start_waiter(&waiter);
	srand(3);
	for (int round = 0; round < ROUNDS && late <= MOST_LATE && now_ms() < end; round++) {
		long begin = now_us(), took;
		int left = 2;

		io_prep_pread(&iocbs[0], direct, memory, PAGE, 0);
		CHECK(submit(ctx, &iocbs[0]) == 1);
		/* The second one wakes the sleeper, which then sleeps again. */
		spin_us(rand() % (50 + usual));
		io_prep_pread(&iocbs[1], plain, &byte, 1, 0);
		CHECK(submit(ctx, &iocbs[1]) == 1);
		while (left > 0 && now_us() - begin < 5000000) {
			struct io_event events[2];
			int got = io_getevents(ctx, 0, left, events, &(struct timespec){ 0, 0 });

			CHECK(got >= 0);
			left -= got > 0 ? got : 0;
		}
		took = now_us() - begin;
		late += took > 500000;
		usual = (7 * usual + (took < 1000 ? took : 1000)) / 8;
	}
	CHECK(late <= MOST_LATE);
	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], plain, &byte, 1, 0);
		CHECK(submit(ctx, &iocbs[i]) == 1);
	}
	expect(end_waiter(&waiter), MANY, "many");
	end_context(ctx);
	return finish();
}
