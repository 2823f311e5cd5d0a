/* not: uring: descriptors of the library are in another table */
/* not: pool: as with io_uring */
/* Description: a thread that has its own table of descriptors submits direct I/O, syncs and polls
 * of its files to a context that it shares with others: each request is done on the file it
 * meant. */
#include "pending.h"

#include <sched.h>

#define MANY 32
#define ROUNDS 20

static io_context_t ctx;
static pthread_barrier_t barrier;

struct side {
	const char *name;
	int fill;
	bool is_apart;
	char *memory;
	long bad;
};

/* Reads of its own file, with others' requests in flight. */
static void submit_all(struct side *side, int file, struct iocb iocbs[MANY])
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		char *buffer = side->memory + i * (long)PAGE;

		if (i % 8 == 7)
			io_prep_fsync(&iocbs[i], file);
		else if (i % 8 == 6)
			io_prep_pwrite(&iocbs[i], file, buffer, PAGE, i * (long)PAGE);
		else
			io_prep_pread(&iocbs[i], file, buffer, PAGE, i * (long)PAGE);
		iocbs[i].data = side;
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

static void *run(void *argument)
{
	struct side *side = argument;
	static __thread struct iocb iocbs[MANY];
	struct iocb poll;
	char block[PAGE];
	int file;

	if (side->is_apart)
		MUST(unshare(CLONE_FILES));
	file = scratch_direct(side->name, MANY * PAGE, side->fill);
	for (int round = 0; round < ROUNDS; round++) {
		struct channel channel = new_pipe();

		memset(side->memory, 0, MANY * PAGE);
		for (int i = 6; i < MANY; i += 8)
			memset(side->memory + i * (long)PAGE, side->fill, PAGE);
		pthread_barrier_wait(&barrier);
		submit_all(side, file, iocbs);
		submit_poll(ctx, &poll, channel.in, POLLIN);
		feed(channel.out);
		pthread_barrier_wait(&barrier);
		/* Reaped by the main thread. */
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < MANY; i++) {
			const char *read = side->memory + i * (long)PAGE;

			side->bad += i % 8 != 7 && !filled_with(read, side->fill, PAGE);
		}
		close_channel(channel);
	}
	close(file);
	file = scratch(side->name, 0);
	for (int i = 0; i < MANY; i++) {
		MUST(pread(file, block, PAGE, i * (long)PAGE));
		side->bad += !filled_with(block, side->fill, PAGE);
	}
	return NULL;
}

int main(void)
{
	struct side sides[] = {
		{ "one", '1', false, NULL, 0 },
		{ "two", '2', true, NULL, 0 },
		{ "three", '3', true, NULL, 0 },
	};
	struct io_event events[COUNT(sides) * (MANY + 1)];
	pthread_t threads[COUNT(sides)];

	ctx = new_context(COUNT(events));
	pthread_barrier_init(&barrier, NULL, COUNT(sides) + 1);
	for (size_t i = 0; i < COUNT(sides); i++) {
		sides[i].memory = pages(MANY, PROT_READ | PROT_WRITE);
		threads[i] = start(run, &sides[i]);
	}
	for (int round = 0; round < ROUNDS; round++) {
		int good = 0, got;

		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		got = reap(ctx, COUNT(events), COUNT(events), events);
		expect(got, COUNT(events), "events");
		for (int i = 0; i < got; i++) {
			long res = event_res(&events[i]);
			short opcode = events[i].obj->aio_lio_opcode;

			good += opcode == IO_CMD_POLL  ? (res & POLLIN) != 0 :
				opcode == IO_CMD_FSYNC ? res == 0 :
							 res == (long)PAGE;
		}
		expect(good, COUNT(events), "good ones");
		pthread_barrier_wait(&barrier);
	}
	for (size_t i = 0; i < COUNT(sides); i++) {
		join(threads[i]);
		expect(sides[i].bad, 0, "%s: blocks of another file", sides[i].name);
	}
	end_context(ctx);
	return finish();
}
