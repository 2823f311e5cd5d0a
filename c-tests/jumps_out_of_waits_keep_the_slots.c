/* Description: handlers jump out of waits that have taken a part of what they wait for, more often than the
 * context has slots: none of them is lost. */
#include "jumping.h"

#define ROUNDS 400
#define LENGTH (1ul << 20)

static io_context_t ctx;

static void wait_for_two(void)
{
	struct timespec span = { 20, 0 };
	struct io_event events[2];

	JUMP_OUT_OF(alarm_in(4000); io_getevents(ctx, 2, 2, events, &span));
	alarm_in(0);
}

int main(void)
{
	int file = scratch_direct("file", LENGTH, 'f'), capacity = 0, refused = 0;
	char *memory = pages(LENGTH / PAGE, PROT_READ | PROT_WRITE);
	struct timespec zero = { 0, 0 };
	static struct iocb iocbs[62];
	struct io_event events[62];

	jump_on(SIGALRM);
	stay_on_this_cpu();
	ctx = new_context(COUNT(iocbs));
	for (int round = 0; round < ROUNDS; round++) {
		io_prep_pread(&iocbs[0], file, memory, LENGTH, 0);
		refused += submit(ctx, &iocbs[0]) != 1;
		wait_for_two();
		/* Those that were late, or are found after all. */
		CHECK(io_getevents(ctx, 0, 8, events, &zero) >= 0);
	}
	expect(refused, 0, "refused");
	CHECK(jumps > ROUNDS / 2);
	for (size_t i = 0; i < COUNT(iocbs); i++) {
		io_prep_pread(&iocbs[i], file, memory, PAGE, 0);
		capacity += submit(ctx, &iocbs[i]) == 1;
	}
	expect(capacity, (int)COUNT(iocbs), "accepted");
	end_context(ctx);
	return finish();
}
