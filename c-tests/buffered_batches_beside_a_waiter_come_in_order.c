/* Description: buffered transfers of one io_submit after the other have their events in that order, also
 * if another thread waits for them. */
#include "pending.h"

#include <pthread.h>

#define ROUNDS 100
#define COUNT_OF_ALL 3

static io_context_t ctx;
static struct io_event events[COUNT_OF_ALL];

static void *wait_for_all(void *unused)
{
	(void)unused;
	CHECK(reap(ctx, COUNT_OF_ALL, COUNT_OF_ALL, events) == COUNT_OF_ALL);
	return NULL;
}

int main(void)
{
	int file = (int)MUST(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600)), wrong = 0;
	static char memory[COUNT_OF_ALL][4096];

	MUST(write(file, memory, sizeof(memory)));
	ctx = new_context(16);
	for (int round = 0; round < ROUNDS; round++) {
		struct iocb iocbs[COUNT_OF_ALL], *list[COUNT_OF_ALL];
		pthread_t waiter;

		for (int i = 0; i < COUNT_OF_ALL; i++) {
			list[i] = &iocbs[i];
			io_prep_pread(&iocbs[i], file, memory[i], PAGE, i * (long)PAGE);
		}
		MUST(pthread_create(&waiter, NULL, wait_for_all, NULL) == 0 ? 0 : -1);
		/* It does not matter if it comes later: then nobody waits. */
		sleep_ms(1);
		CHECK(io_submit(ctx, 2, list) == 2);
		CHECK(io_submit(ctx, 1, list + 2) == 1);
		MUST(pthread_join(waiter, NULL) == 0 ? 0 : -1);
		for (int i = 0; i < COUNT_OF_ALL; i++)
			wrong += events[i].obj != &iocbs[i];
	}
	/* One that begins to wait during io_submit may take some away. */
	fact("in order: %s", wrong <= 2 * COUNT_OF_ALL ? "yes" : "no");
	CHECK(wrong <= 2 * COUNT_OF_ALL);
	end_context(ctx);
	return finish();
}
