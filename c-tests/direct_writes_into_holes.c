/* Description: many direct writes into a sparse file, scattered and with others in flight, succeed,
 * all of them, and the data is there. */
#include "check.h"

#define DEPTH 64
#define BLOCKS 1024
#define STRIDE (2 * PAGE)
#define SECONDS 3

static struct iocb iocbs[DEPTH];
static char *memory;
static int file;

static void write_block(io_context_t ctx, struct iocb *iocb, long block)
{
	io_prep_pwrite(iocb, file, memory, PAGE, block * (long)STRIDE + (long)PAGE);
	CHECK(io_submit(ctx, 1, &iocb) == 1);
}

/* Every block once, DEPTH at a time. Returns how many were not written. */
static int fill(io_context_t ctx)
{
	struct io_event events[DEPTH];
	int wrong = 0;
	long next = 0;

	for (; next < DEPTH; next++)
		write_block(ctx, &iocbs[next], next);
	for (int done = 0; done < BLOCKS;) {
		int got = io_getevents(ctx, 1, DEPTH, events, NULL);

		CHECK(got > 0);
		if (got <= 0)
			return BLOCKS;
		for (int i = 0; i < got; i++, done++) {
			wrong += event_res(&events[i]) != (long)PAGE;
			if (next < BLOCKS)
				write_block(ctx, events[i].obj, next++);
		}
	}
	return wrong;
}

int main(void)
{
	io_context_t ctx = new_context(DEPTH);
	long end = now_ms() + SECONDS * 1000;
	int wrong = 0, unlike = 0;
	char *block = pages(1, PROT_READ | PROT_WRITE);

	memory = pages(1, PROT_READ | PROT_WRITE);
	memset(memory, 'w', PAGE);
	file = scratch_direct("file", PAGE, 'f');
	while (now_ms() < end && !wrong) {
		MUST(ftruncate(file, 0));
		MUST(ftruncate(file, BLOCKS * (long)STRIDE));
		wrong += fill(ctx);
	}
	expect(wrong, 0, "writes that failed");
	for (long i = 0; i < BLOCKS; i++) {
		MUST(pread(file, block, PAGE, i * (long)STRIDE + (long)PAGE));
		unlike += memcmp(block, memory, PAGE) != 0;
	}
	expect(unlike, 0, "blocks with other data");
	end_context(ctx);
	return finish();
}
