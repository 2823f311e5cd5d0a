/* not: always: the harvester outlives the last thread of the program, until exit */
/* Description: a process with polls pending, writes in flight, a thread in io_getevents and
 * contexts that nobody destroyed exits at once and in order; the writes are carried out. */
#include "pending.h"

#define MANY 32

static void leave(int file, void (*end_process)(int))
{
	io_context_t ctx = new_context(2 * MANY);
	char *buffer = pages(MANY, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	struct iocb iocb, writes[MANY], *list[MANY];
	static struct waiter waiter;

	memset(buffer, 'n', MANY * PAGE);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	waiter = (struct waiter){ .ctx = new_context(1), .min_nr = 1, .nr = 1 };
	submit_poll(waiter.ctx, &iocb, channel.in, POLLIN);
	/* It would keep the process alive after pthread_exit(). */
	if (end_process == exit)
		start_waiter(&waiter);
	for (int i = 0; i < MANY; i++) {
		io_prep_pwrite(&writes[i], file, buffer + i * PAGE, PAGE, i * PAGE);
		list[i] = &writes[i];
	}
	if (io_submit(ctx, MANY, list) == MANY)
		end_process(42);
	abort();
}

static void return_from_thread(int status)
{
	(void)status;
	pthread_exit(NULL);
}

static void run(void (*end_process)(int), int want, const char *what)
{
	int file = scratch_direct("file", MANY * PAGE, 'o'), status;
	char *buffer = pages(MANY, PROT_READ | PROT_WRITE);
	long begin = now_ms();

	if (MUST(fork()) == 0)
		leave(file, end_process);
	MUST(wait(&status));
	CHECK(WIFEXITED(status) && now_ms() - begin < 8000);
	expect(WEXITSTATUS(status), want, "%s: status", what);
	CHECK(MUST(pread(file, buffer, MANY * PAGE, 0)) == (long)(MANY * PAGE));
	fact("%s: writes %s", what, filled_with(buffer, 'n', MANY * PAGE) ? "done" : "lost");
	CHECK(filled_with(buffer, 'n', MANY * PAGE));
	close(file);
	munmap(buffer, MANY * PAGE);
}

int main(void)
{
	for (int i = 0; i < 3; i++)
		run(exit, 42, "exit");
	run(return_from_thread, 0, "pthread_exit of the only thread");
	return finish();
}
