/* Description: 300 direct reads are submitted to a context for 8 events, and to one for 512, at once,
 * in portions and one by one, without taking any event: as many are accepted as in the kernel, the rest
 * gets -EAGAIN, and each that was accepted has its event. */
#include "pending.h"

#define MANY 300

static int file;
static char *memory;
static struct iocb iocbs[MANY], *list[MANY];

static void run(int nr, int portion)
{
	io_context_t ctx = new_context(nr);
	struct io_event events[MANY];
	unsigned char seen[MANY] = { 0 };
	int accepted = 0, got, good = 0;

	for (int round = 0; round < 3; round++) {
		memset(seen, 0, sizeof(seen));
		accepted = good = got = 0;
		for (int i = 0; i < MANY; i++) {
			io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
			list[i] = &iocbs[i];
		}
		while (accepted < MANY) {
			int count = MANY - accepted < portion ? MANY - accepted : portion;

			got = io_submit(ctx, count, list + accepted);
			if (got <= 0)
				break;
			accepted += got;
		}
		fact("%d events, %d at a time: %d accepted, then %s", nr, portion, accepted,
		     accepted == MANY ? "none" : code(got));
		CHECK(accepted == MANY || got == -EAGAIN);
		/*
		 * None is taken before all have ended. A request that ends later would give back
		 * the slots of those taken to the processor that its interrupt comes on.
		 */
		EVENTUALLY(io_getevents(ctx, 0, 0, NULL, NULL) == 0 &&
			   in_ring(ctx) == (unsigned)accepted);
		expect(reap(ctx, accepted, MANY, events), accepted, "events");
		for (int i = 0; i < accepted; i++)
			good += event_res(&events[i]) == (long)PAGE &&
				!seen[events[i].obj - iocbs]++;
		expect(good, accepted, "good ones");
		expect(events_there(ctx), 0, "more events");
	}
	CHECK(filled_with(memory, 'f', (size_t)accepted * PAGE));
	end_context(ctx);
}

int main(void)
{
	static const int sizes[] = { 8, 512 }, portions[] = { MANY, 32, 1 };

	stay_on_this_cpu();
	file = scratch_direct("file", MANY * PAGE, 'f');
	memory = pages(MANY, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t k = 0; k < COUNT(portions); k++)
			run(sizes[i], portions[k]);
	return finish();
}
