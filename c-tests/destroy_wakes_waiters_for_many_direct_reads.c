/* Description: io_destroy wakes threads that wait for many more direct reads than there are, and they
 * get what has come. */
#include "pending.h"

#define WAITERS 3
#define WANTED 100
#define LARGE (4ul << 20)

static io_context_t ctx;
static int file, tids[WAITERS];
static char *memory;
static long got[WAITERS];

/* Sleeps while its read is in flight, and longer. */
static void *wait_for_many(void *argument)
{
	static struct io_event events[WAITERS][WANTED];
	static struct iocb iocbs[WAITERS];
	int which = (int)(intptr_t)argument;

	io_prep_pread(&iocbs[which], file, memory + (size_t)which * LARGE, LARGE, 0);
	CHECK(submit(ctx, &iocbs[which]) == 1);
	__atomic_store_n(&tids[which], own_tid(), __ATOMIC_RELEASE);
	got[which] = io_getevents(ctx, WANTED, WANTED, events[which], NULL);
	return NULL;
}

int main(void)
{
	file = scratch_direct("file", LARGE, 'f');
	memory = pages(WAITERS * LARGE / PAGE, PROT_READ | PROT_WRITE);
	for (int round = 0; round < 5; round++) {
		pthread_t threads[WAITERS];
		long sum = 0;

		ctx = new_context(256);
		for (int i = 0; i < WAITERS; i++) {
			tids[i] = 0;
			threads[i] = start(wait_for_many, (void *)(intptr_t)i);
		}
		for (int i = 0; i < WAITERS; i++)
			EVENTUALLY(__atomic_load_n(&tids[i], __ATOMIC_ACQUIRE) && is_asleep(tids[i]));
		sleep_ms(30);
		end_context(ctx);
		for (int i = 0; i < WAITERS; i++) {
			join(threads[i]);
			CHECK(got[i] > 0 || got[i] == -EINVAL);
			sum += got[i] > 0 ? got[i] : 0;
		}
		expect(sum, WAITERS, "round %d: events of all", round);
	}
	return finish();
}
