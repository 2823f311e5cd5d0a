/* Description: io_submit looks up each file when it comes to it, also after a sleep in the same call. */
#include "meanwhile.h"

static int number, other;

static void replace(void)
{
	MUST(dup2(other, number));
}

static void close_it(void)
{
	close(number);
}

static void with(enum sleep sleep, void (*work)(void), int flags, int want, const char *what)
{
	io_context_t ctx = new_context(16);
	struct iocb iocbs[3], *list[3] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	struct io_event events[3];
	char *buffer = pages(2, PROT_READ | PROT_WRITE);
	int fd = scratch_filled("one", 0, PAGE, '1');

	number = MUST(fcntl(fd, F_DUPFD_CLOEXEC, 300));
	close(fd);
	close(scratch_filled("other", 0, PAGE, '2'));
	other = MUST(open(flags & O_NONBLOCK ? "empty" : "other", flags | O_CLOEXEC));
	/* Known to the batch before it sleeps. */
	io_prep_pread(&iocbs[0], number, buffer, 1, 0);
	sleep_in(sleep, &iocbs[1], work);
	io_prep_pread(&iocbs[2], number, buffer + PAGE, PAGE, 0);
	expect(io_submit(ctx, 3, list), want, "%s, %s: io_submit", sleep_names[sleep], what);
	slept();
	expect(reap(ctx, want, 3, events), want, "events");
	for (int i = 0; i < want; i++)
		fact("event %d: %s", i, code(event_res(&events[i])));
	fact("read: %c%c", buffer[0], buffer[PAGE] ? buffer[PAGE] : '-');
	close(number);
	close(other);
	end_context(ctx);
}

int main(void)
{
	meanwhile_begin();
	MUST(mkfifo("empty", 0600));
	for (enum sleep sleep = 0; sleep < SLEEPS; sleep++) {
		with(sleep, replace, O_RDONLY, 3, "another file");
		with(sleep, replace, O_RDONLY | O_DIRECT, 3, "another file, direct");
		with(sleep, replace, O_WRONLY, 2, "one for writing");
		with(sleep, replace, O_RDWR | O_NONBLOCK, 3, "an empty FIFO");
		with(sleep, close_it, O_RDONLY, 2, "nothing");
	}
	return finish();
}
