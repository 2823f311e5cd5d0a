/* Description: of two overwrites within one tick of the clock the second one takes no time stamp of its
 * own, since nobody has asked for the first one's: not the library either. */
#include "check.h"

#define ROUNDS 1000

static io_context_t ctx;

static struct timespec now(void)
{
	struct timespec time;

	MUST(clock_gettime(CLOCK_REALTIME, &time));
	return time;
}

static void overwrite(int file, void *block)
{
	struct iocb iocb, *list[] = { &iocb };
	struct io_event event;

	io_prep_pwrite(&iocb, file, block, PAGE, 0);
	CHECK(io_submit(ctx, 1, list) == 1);
	CHECK(reap(ctx, 1, 1, &event) == 1 && event_res(&event) == PAGE);
}

/* How many of the second overwrites have a time stamp that is later than their beginning. */
static int count_stamps(int file, void *block)
{
	int stamps = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct timespec between;
		struct stat status;

		/* The last look at the times was this test's: here the kernel takes an exact stamp. */
		overwrite(file, block);
		between = now();
		overwrite(file, block);
		MUST(fstat(file, &status));
		stamps += status.st_mtim.tv_sec > between.tv_sec ||
			  (status.st_mtim.tv_sec == between.tv_sec &&
			   status.st_mtim.tv_nsec >= between.tv_nsec);
	}
	return stamps;
}

static void run(const char *what, int file)
{
	int stamps = count_stamps(file, pages(1, PROT_READ | PROT_WRITE));

	fprintf(stderr, "%s: %d of %d\n", what, stamps, ROUNDS);
	/* Some have it because the clock has ticked in between. */
	expect(stamps < ROUNDS / 2, 1, "%s: few stamps", what);
	close(file);
}

int main(void)
{
	ctx = new_context(4);
	run("direct", scratch_direct("direct", 16 * PAGE, 'd'));
	run("buffered", scratch_filled("buffered", 0, 16 * PAGE, 'b'));
	end_context(ctx);
	return finish();
}
