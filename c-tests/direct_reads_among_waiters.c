/* Description: threads that wait for different numbers of direct reads in one context each get their
 * number, whoever sleeps first and in which portions the reads are submitted; no event is lost or
 * doubled. */
#include "pending.h"

#define WAITERS 4
#define ALL 16
#define ROUNDS 100

static const long wanted[WAITERS] = { 1, 2, 5, 8 };

static io_context_t ctx;
static int file;
static char *memory;

static void prepare(struct iocb *iocbs, struct iocb **list)
{
	for (int i = 0; i < ALL; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		iocbs[i].data = &iocbs[i];
		list[i] = &iocbs[i];
	}
}

/* The waiters come before the reads (`is_asleep`), or at the same time. */
static void run(int portion, bool is_asleep_first, const char *what)
{
	int wrong_counts = 0, wrong_events = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct waiter waiters[WAITERS];
		struct timespec timeout = { 10, 0 };
		struct iocb iocbs[ALL], *list[ALL];
		int seen[ALL] = { 0 };

		prepare(iocbs, list);
		for (int i = 0; i < WAITERS; i++) {
			int which = (i + round) % WAITERS;

			waiters[i] = (struct waiter){ .ctx = ctx, .timeout = &timeout };
			waiters[i].min_nr = waiters[i].nr = wanted[which];
			if (is_asleep_first)
				start_waiter(&waiters[i]);
			else
				waiters[i].thread = start(waiter_body, &waiters[i]);
		}
		for (int done = 0; done < ALL; done += portion)
			CHECK(io_submit(ctx, portion, list + done) == portion);
		for (int i = 0; i < WAITERS; i++) {
			int got = end_waiter(&waiters[i]);

			wrong_counts += got != waiters[i].min_nr;
			for (int k = 0; k < got; k++) {
				const struct io_event *event = &waiters[i].events[k];

				wrong_events += event_res(event) != (long)PAGE ||
						event->data != event->obj;
				seen[event->obj - iocbs]++;
			}
		}
		for (int i = 0; i < ALL; i++)
			wrong_events += seen[i] != 1;
	}
	expect(wrong_counts, 0, "%s, %d at a time: wrong counts", what, portion);
	expect(wrong_events, 0, "%s, %d at a time: wrong events", what, portion);
	expect(events_there(ctx), 0, "more events");
}

int main(void)
{
	static const int portions[] = { ALL, 4, 1 };

	file = scratch_direct("file", ALL * PAGE, 'f');
	memory = pages(ALL, PROT_READ | PROT_WRITE);
	ctx = new_context(64);
	for (size_t i = 0; i < COUNT(portions); i++) {
		run(portions[i], true, "waiters first");
		run(portions[i], false, "at once");
	}
	end_context(ctx);
	return finish();
}
