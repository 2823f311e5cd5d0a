/* Description: one thread puts two files at a number in turn (dup2), as programs change their logs, while
 * another one submits syncs, direct reads and polls on it: each is done on one of them, and nothing stays
 * open. */
#include "pending.h"

#define ROUNDS 3000

static int number, files[2], is_over;

static void *alternate(void *unused)
{
	for (int i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++)
		MUST(dup2(files[i % 2], number));
	return unused;
}

static int open_descriptors(void)
{
	return entries("/proc/self/fd");
}

static void run(const char *what, struct iocb *iocb, long want)
{
	io_context_t ctx = new_context(4);
	int before = open_descriptors(), wrong = 0;
	long end = now_ms() + 2000;
	struct iocb *list[] = { iocb };
	pthread_t thread;

	__atomic_store_n(&is_over, 0, __ATOMIC_RELAXED);
	thread = start(alternate, NULL);
	/* A sync may take long on the disk. */
	for (int i = 0; i < ROUNDS && now_ms() < end; i++) {
		struct io_event event = { 0 };

		wrong += io_submit(ctx, 1, list) != 1 || reap(ctx, 1, 1, &event) != 1 ||
			 event_res(&event) != want;
	}
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	end_context(ctx);
	EVENTUALLY(open_descriptors() <= before);
	expect(wrong, 0, "%s: wrong", what);
}

int main(void)
{
	char *memory = pages(1, PROT_READ | PROT_WRITE);
	struct channel one = new_pipe(), other = new_pipe();
	struct iocb iocb;

	close(scratch_filled("one", 0, PAGE, '1'));
	close(scratch_filled("other", 0, PAGE, '2'));
	files[0] = (int)MUST(open("one", O_RDWR | O_DIRECT | O_CLOEXEC));
	files[1] = (int)MUST(open("other", O_RDWR | O_DIRECT | O_CLOEXEC));
	number = (int)MUST(dup(files[0]));
	io_prep_fsync(&iocb, number);
	run("sync", &iocb, 0);
	io_prep_pread(&iocb, number, memory, PAGE, 0);
	run("direct read", &iocb, PAGE);
	feed(one.out);
	feed(other.out);
	files[0] = one.in;
	files[1] = other.in;
	MUST(dup2(one.in, number));
	io_prep_poll(&iocb, number, POLLIN);
	run("poll", &iocb, POLLIN);
	return finish();
}
