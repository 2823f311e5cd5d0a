/* Description: while io_submit sleeps the rest of its arguments is unmapped or made read-only: EFAULT. */
#include "meanwhile.h"

static char *victim;

static void unmap(void)
{
	MUST(munmap(victim, PAGE));
}

static void make_read_only(void)
{
	MUST(mprotect(victim, PAGE, PROT_READ));
}

static void make_inaccessible(void)
{
	MUST(mprotect(victim, PAGE, PROT_NONE));
}

static const struct {
	void (*work)(void);
	const char *name;
} works[] = {
	{ unmap, "unmapped" },
	{ make_read_only, "read-only" },
	{ make_inaccessible, "inaccessible" },
};

enum place { ARRAY, IOCBS, ARRAY_AND_IOCBS, FIRST_IOCB, IOVECS, PLACES };

static const char *const place_names[] = {
	"array", "iocbs", "array and iocbs", "first iocb", "iovecs",
};

static void with(enum sleep sleep, enum place place, int how)
{
	io_context_t ctx = new_context(16);
	struct iocb own[3], *iocbs = own, *list_of_own[3], **list = list_of_own;
	struct iovec vector_of_own = { .iov_len = 1 }, *vector = &vector_of_own;
	struct io_event events[3];
	int file = scratch_filled("file", 0, 100, 'x');
	bool is_written = place != ARRAY && place != IOVECS && place != FIRST_IOCB;
	int want = works[how].work != make_read_only ? 1 : is_written ? 1 : 3;
	char bytes[2];

	victim = pages(1, PROT_READ | PROT_WRITE);
	if (place == ARRAY || place == ARRAY_AND_IOCBS)
		list = (struct iocb **)victim;
	if (place == IOCBS || place == ARRAY_AND_IOCBS)
		iocbs = (struct iocb *)(victim + PAGE / 2);
	if (place == IOVECS)
		vector = (struct iovec *)victim;
	if (place == FIRST_IOCB)
		want = 3;
	vector->iov_base = &bytes[0];
	vector->iov_len = 1;
	list[0] = place == FIRST_IOCB ? (struct iocb *)victim : &iocbs[0];
	sleep_in(sleep, list[0], works[how].work);
	io_prep_preadv(&iocbs[1], file, vector, 1, 0);
	io_prep_pread(&iocbs[2], file, &bytes[1], 1, 0);
	list[1] = &iocbs[1];
	list[2] = &iocbs[2];
	expect(io_submit(ctx, 3, list), want, "%s, %s %s: io_submit", sleep_names[sleep],
	       place_names[place], works[how].name);
	slept();
	expect(reap(ctx, want, 3, events), want, "events");
	for (int i = 0; i < want; i++)
		expect(event_res(&events[i]), 1, "event %d", i);
	munmap(victim, PAGE);
	close(file);
	end_context(ctx);
}

int main(void)
{
	meanwhile_begin();
	for (enum sleep sleep = 0; sleep < SLEEPS; sleep++)
		for (enum place place = 0; place < PLACES; place++)
			for (unsigned how = 0; how < COUNT(works); how++)
				with(sleep, place, how);
	return finish();
}
