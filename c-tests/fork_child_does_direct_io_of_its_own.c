/* Description: a child that was forked with direct reads in flight is refused in the parent's contexts,
 * and contexts of its own work, whatever the parent had; so do those of its own child. The parent gets
 * its events. */
#include "pending.h"

#define READS 32
#define CONTEXTS 4

static int file;
static char *memory;

static void submit_reads(io_context_t ctx, struct iocb *iocbs)
{
	struct iocb *list[READS];

	for (int i = 0; i < READS; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, READS, list) == READS);
}

static void reap_reads(io_context_t ctx)
{
	struct io_event events[READS];
	int got = reap(ctx, READS, READS, events);

	CHECK(got == READS);
	for (int i = 0; i < got; i++)
		CHECK(event_res(&events[i]) == (long)PAGE);
}

static void work(void)
{
	struct iocb iocbs[CONTEXTS][READS];
	io_context_t ctx[CONTEXTS];

	memset(memory, 0, READS * PAGE);
	for (int i = 0; i < CONTEXTS; i++) {
		ctx[i] = new_context(READS);
		submit_reads(ctx[i], iocbs[i]);
	}
	for (int i = 0; i < CONTEXTS; i++) {
		reap_reads(ctx[i]);
		end_context(ctx[i]);
	}
	CHECK(filled_with(memory, 'f', READS * PAGE));
}

static void wait_for_child(pid_t child)
{
	int status;

	MUST(waitpid(child, &status, 0));
	CHECK(status == 0);
}

int main(void)
{
	struct iocb iocbs[READS], other[READS];
	io_context_t ctx;
	pid_t child;

	file = scratch_direct("file", READS * PAGE, 'f');
	memory = pages(READS, PROT_READ | PROT_WRITE);
	ctx = new_context(READS);
	for (int round = 0; round < 10; round++) {
		/* Contexts that were destroyed before. */
		if (round % 2)
			work();
		submit_reads(ctx, iocbs);
		child = MUST(fork());
		if (child == 0) {
			struct iocb *list[] = { &other[0] };
			struct io_event event;

			io_prep_pread(&other[0], file, memory, PAGE, 0);
			CHECK(io_submit(ctx, 1, list) == -EINVAL);
			CHECK(io_getevents(ctx, 1, 1, &event, NULL) == -EINVAL);
			work();
			child = MUST(fork());
			if (child == 0) {
				work();
				_exit(finish());
			}
			wait_for_child(child);
			work();
			CHECK(io_destroy(ctx) == -EINVAL);
			_exit(finish());
		}
		reap_reads(ctx);
		wait_for_child(child);
	}
	expect(events_there(ctx), 0, "more events");
	end_context(ctx);
	work();
	return finish();
}
