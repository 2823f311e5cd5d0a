/* Description: while io_submit sleeps another file takes the eventfd's number: the eventfd counts. */
#include "meanwhile.h"

static int number, precious;
static char content[] = "precious data, precious data";

static void replace(void)
{
	MUST(dup2(precious, number));
}

static void replace_by_another(void)
{
	int other = MUST(eventfd(5, EFD_NONBLOCK));

	MUST(dup2(other, number));
	close(other);
}

static void close_it(void)
{
	close(number);
}

static void with(enum sleep sleep, void (*work)(void), int second, const char *what)
{
	io_context_t ctx = new_context(16);
	struct iocb iocbs[2], *list[2] = { &iocbs[0], &iocbs[1] };
	struct io_event events[2];
	int file = scratch_filled("file", 0, 100, 'x');
	uint64_t count = 0;
	char now[sizeof(content)] = "";

	precious = scratch("precious", O_TRUNC);
	MUST(write(precious, content, sizeof(content)));
	MUST(lseek(precious, 0, SEEK_SET));
	int eventfd_ = MUST(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	number = MUST(fcntl(eventfd_, F_DUPFD_CLOEXEC, 300));
	char byte;

	sleep_in(sleep, &iocbs[0], work);
	io_set_eventfd(&iocbs[0], number);
	io_prep_pread(&iocbs[1], file, &byte, 1, 0);
	io_set_eventfd(&iocbs[1], number);
	expect(io_submit(ctx, 2, list), second ? 2 : 1, "%s, %s: io_submit", sleep_names[sleep], what);
	slept();
	expect(reap(ctx, 1 + second, 2, events), 1 + second, "events");
	for (int i = 0; i < 1 + second; i++)
		expect(event_res(&events[i]), 1, "event %d", i);
	MUST(read(eventfd_, &count, sizeof(count)));
	expect((long)count, 1, "the eventfd");
	if (second) {
		MUST(read(number, &count, sizeof(count)));
		expect((long)count, 6, "the other one");
	}
	MUST(pread(precious, now, sizeof(now), 0));
	fact("the file: %s", now);
	CHECK(memcmp(now, content, sizeof(now)) == 0);
	close(number);
	close(eventfd_);
	close(precious);
	close(file);
	end_context(ctx);
}

int main(void)
{
	meanwhile_begin();
	for (enum sleep sleep = 0; sleep < SLEEPS; sleep++) {
		with(sleep, replace, 0, "a file");
		with(sleep, replace_by_another, 1, "another eventfd");
		with(sleep, close_it, 0, "nothing");
	}
	return finish();
}
