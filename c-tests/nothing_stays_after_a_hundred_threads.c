/* Description: a hundred threads make contexts, submit, reap or not, and destroy them, over and
 * over: no descriptor, thread or mapping is left. */
#include "pending.h"

#include <malloc.h>

#define THREADS 100
#define ROUNDS 1000
#define STACK (64ul << 10)

static int file;
static char *stacks;
static long deadline, destroyed;

/* A direct read, a sync, a poll that waits; what is done with them is the kind's. */
static void round_of(int kind, char *buffer, struct channel channel, int resfd)
{
	struct iocb iocbs[3], *list[] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	io_context_t ctx = new_context(4);
	struct io_event events[3];

	io_prep_pread(&iocbs[0], file, buffer, PAGE, 0);
	io_prep_fdsync(&iocbs[1], file);
	io_prep_poll(&iocbs[2], channel.in, POLLIN);
	if (kind == 3)
		for (int i = 0; i < 3; i++)
			io_set_eventfd(&iocbs[i], resfd);
	CHECK(io_submit(ctx, 3, list) == 3);
	if (kind == 1)
		CHECK(reap(ctx, 2, 2, events) == 2);
	if (kind == 2) {
		feed(channel.out);
		CHECK(reap(ctx, 3, 3, events) == 3);
		MUST(read(channel.in, buffer, 1));
	}
	end_context(ctx);
	__atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
}

static void *worker(void *argument)
{
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct channel channel = new_pipe();
	long self = (long)argument;

	for (int i = 0; i < ROUNDS && (i < 4 || now_ms() < deadline); i++)
		round_of((int)(self + i) % 4, buffer, channel, resfd);
	close_channel(channel);
	close(resfd);
	MUST(munmap(buffer, PAGE));
	return NULL;
}

static void crowd(void)
{
	pthread_t threads[THREADS];
	pthread_attr_t attributes;

	deadline = now_ms() + 400;
	pthread_attr_init(&attributes);
	for (long i = 0; i < THREADS; i++) {
		/* Stacks of our own, so that the C library keeps none. */
		pthread_attr_setstack(&attributes, stacks + (unsigned long)i * STACK, STACK);
		errno = pthread_create(&threads[i], &attributes, worker, (void *)i);
		if (errno)
			die("pthread_create");
	}
	for (int i = 0; i < THREADS; i++)
		join(threads[i]);
	pthread_attr_destroy(&attributes);
}

static int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int lines = 0, c;

	if (!maps)
		die("/proc/self/maps");
	while ((c = getc(maps)) != EOF)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

int main(void)
{
	int fds, threads, maps;

	/* The C library's arenas are nobody's leak. */
	mallopt(M_ARENA_MAX, 1);
	stacks = pages(THREADS * STACK / PAGE, PROT_READ | PROT_WRITE);
	file = scratch_direct("file", PAGE, 'f');
	fds = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	/* Memory that is kept for later is taken once. */
	crowd();
	EVENTUALLY(entries("/proc/self/task") == threads);
	maps = mappings();
	for (int i = 0; i < 3; i++) {
		crowd();
		EVENTUALLY(entries("/proc/self/fd") == fds);
		EVENTUALLY(entries("/proc/self/task") == threads);
		/* Neighbours that the kernel merges, or not, make a few; up to 16 contexts of kernel
		 * AIO are kept, and by the C library the stacks of up to 32 workers, with a guard
		 * each: the first round may have made fewer. A thousand contexts are destroyed. */
		EVENTUALLY(mappings() < maps + 36 + 64);
		fact("nothing stays");
	}
	fprintf(stderr, "%ld contexts, %d mappings before, %d after\n", destroyed, maps, mappings());
	end_context(new_context(1));
	return finish();
}
