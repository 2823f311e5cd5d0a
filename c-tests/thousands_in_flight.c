/* Description: thousands of direct reads may be in flight, submitted in one call or in many, and
 * reaped late: none is refused, lost or counted twice by an eventfd. */
#include "pending.h"

#define MANY 8192
#define BLOCKS 256

static io_context_t ctx;
static int file, resfd;
static char *memory;
static struct iocb iocbs[MANY], *list[MANY];
static struct io_event events[MANY];
static unsigned char seen[MANY];

static void run(int batch, bool is_signalled)
{
	int good = 0, got;

	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < MANY; i++) {
		long block = i % BLOCKS;

		io_prep_pread(&iocbs[i], file, memory + block * (long)PAGE, PAGE,
			      block * (long)PAGE);
		if (is_signalled)
			io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	for (int done = 0; done < MANY; done += batch)
		CHECK(io_submit(ctx, batch, list + done) == batch);
	if (is_signalled)
		expect(take_counts(resfd, MANY), MANY, "count");
	got = reap(ctx, MANY, MANY, events);
	expect(got, MANY, "events, %d at a time", batch);
	for (int i = 0; i < got; i++)
		good += event_res(&events[i]) == (long)PAGE && !seen[events[i].obj - iocbs]++;
	expect(good, MANY, "good ones");
	expect(events_there(ctx), 0, "more events");
}

int main(void)
{
	file = scratch_direct("file", BLOCKS * PAGE, 'f');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	memory = pages(BLOCKS, PROT_READ | PROT_WRITE);
	ctx = new_context(MANY);
	run(MANY, false);
	run(64, false);
	run(1, false);
	run(MANY, true);
	run(64, true);
	end_context(ctx);
	return finish();
}
