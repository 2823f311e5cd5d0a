/* Description: a wait for direct I/O or a sync is not interrupted by what other requests of the same
 * thread, or contexts that have been destroyed, leave behind: no EINTR, and no fewer events than asked
 * for. */
#include "pending.h"

#define ROUNDS 60
#define READS 16

static int file, plain, resfd;
static char *memory;

/* Direct reads with an eventfd, and beside `poll`, if there is one, of which nothing comes. */
static void work_with_eventfd(io_context_t ctx, struct iocb *poll, const struct channel *channel)
{
	struct iocb iocbs[READS], *list[READS];
	struct io_event events[READS];

	if (poll)
		submit_poll(ctx, poll, channel->in, POLLIN);
	for (int i = 0; i < READS; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, READS, list) == READS);
	CHECK(reap(ctx, READS, READS, events) == READS);
}

/* Waits that nothing but their own requests may end. */
static int waits(io_context_t ctx)
{
	struct iocb iocbs[READS], *list[READS];
	struct io_event events[READS];
	int wrong = 0;

	for (int i = 0; i < READS; i++) {
		io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, READS, list) == READS);
	wrong += reap(ctx, READS, READS, events) != READS;
	for (int i = 0; i < 4; i++) {
		MUST(pwrite(plain, "x", 1, i));
		io_prep_fsync(&iocbs[0], plain);
		CHECK(submit(ctx, &iocbs[0]) == 1);
		wrong += reap(ctx, 1, 1, events) != 1 || event_res(events) != 0;
	}
	return wrong;
}

int main(void)
{
	int wrong_after = 0, wrong_beside = 0, wrong_signalled = 0;
	struct channel channel = new_pipe();
	struct iocb poll;
	uint64_t count;

	file = scratch_direct("file", READS * PAGE, 'f');
	plain = scratch_filled("plain", 0, PAGE, 'p');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	memory = pages(READS, PROT_READ | PROT_WRITE);
	for (int i = 0; i < ROUNDS; i++) {
		io_context_t ctx = new_context(64), other;

		work_with_eventfd(ctx, &poll, &channel);
		if (i % 3 == 0) {
			other = new_context(64);
			wrong_beside += waits(other);
			end_context(other);
			end_context(ctx);
		} else {
			end_context(ctx);
			ctx = new_context(64);
			if (i % 3 == 1) {
				wrong_after += waits(ctx);
			} else {
				work_with_eventfd(ctx, NULL, NULL);
				wrong_signalled += waits(ctx);
			}
			end_context(ctx);
		}
		CHECK(read(resfd, &count, sizeof(count)) == sizeof(count));
	}
	expect(wrong_after, 0, "after another context: wrong");
	expect(wrong_signalled, 0, "the same after reads with an eventfd: wrong");
	expect(wrong_beside, 0, "beside another context: wrong");
	return finish();
}
