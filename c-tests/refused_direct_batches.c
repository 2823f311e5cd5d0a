/* Description: batches of direct reads of which one is refused, wherever it stands and for whatever
 * reason: those before it are done, those behind it are not, and the context keeps its capacity and can
 * be destroyed. */
#include "pending.h"

#define MANY 12
#define ROUNDS 6
#define MOST 4096

enum reason { CLOSED, WRITE_ONLY, OPCODE, RESERVED, OFFSET, VECTORS, REASONS };

static const struct {
	const char *name;
	int error;
} reasons[] = {
	{ "a closed descriptor", -EBADF }, { "a descriptor for writing", -EBADF },
	{ "an opcode", -EINVAL },	   { "a reserved field", -EINVAL },
	{ "an offset", -EINVAL },	   { "vectors", -EFAULT },
};

static io_context_t ctx;
static int file, write_only;
static char *memory;

static void read_block(struct iocb *iocb, int fd, int block)
{
	io_prep_pread(iocb, fd, memory + block * PAGE, PAGE, block * (long)PAGE);
}

static int fill(void)
{
	struct iocb iocb;
	int accepted = 0;

	read_block(&iocb, file, 0);
	while (accepted < MOST && submit(ctx, &iocb) == 1)
		accepted++;
	for (int left = accepted; left > 0;) {
		struct io_event events[64];
		int got = reap(ctx, 1, 64, events);

		CHECK(got > 0);
		if (got <= 0)
			break;
		left -= got;
	}
	return accepted;
}

static void spoil(struct iocb *iocb, enum reason reason, int closed)
{
	switch (reason) {
	case CLOSED:
		iocb->aio_fildes = closed;
		break;
	case WRITE_ONLY:
		iocb->aio_fildes = write_only;
		break;
	case OPCODE:
		iocb->aio_lio_opcode = 99;
		break;
	case RESERVED:
		iocb->u.c.__pad3 = 1;
		break;
	case OFFSET:
		iocb->u.c.offset = -1;
		break;
	default:
		iocb->aio_lio_opcode = IO_CMD_PREADV;
		iocb->u.c.buf = unmapped();
		iocb->u.c.nbytes = 1;
	}
}

static void run(enum reason reason, int refused)
{
	struct iocb iocbs[MANY], *list[MANY];
	struct io_event events[MANY];
	int closed = (int)MUST(dup(file)), want = refused ? refused : reasons[reason].error;

	/* It has been used for direct reads before. */
	read_block(&iocbs[0], closed, 0);
	submit_accepted(ctx, &iocbs[0]);
	CHECK(reap_event_of(ctx, &iocbs[0]) == (long)PAGE);
	close(closed);
	for (int i = 0; i < MANY; i++) {
		read_block(&iocbs[i], file, i);
		list[i] = &iocbs[i];
	}
	spoil(&iocbs[refused], reason, closed);
	for (int round = 0; round < ROUNDS; round++) {
		int got = io_submit(ctx, MANY, list);

		if (got != want)
			fail("%s, number %d: %s", reasons[reason].name, refused, code(got));
		if (got > 0 && reap(ctx, got, MANY, events) != got)
			fail("%s, number %d: fewer events", reasons[reason].name, refused);
		if (events_there(ctx))
			fail("%s, number %d: more events", reasons[reason].name, refused);
	}
}

int main(void)
{
	static const int places[] = { 0, 1, MANY / 2, MANY - 1 };

	stay_on_this_cpu();
	file = scratch_direct("file", MANY * PAGE, 'f');
	write_only = (int)MUST(open("file", O_WRONLY | O_DIRECT | O_CLOEXEC));
	memory = pages(MANY, PROT_READ | PROT_WRITE);
	for (int reason = 0; reason < REASONS; reason++) {
		ctx = new_context(2 * MANY);
		for (size_t i = 0; i < COUNT(places); i++)
			run((enum reason)reason, places[i]);
		/* The kernel deals out slots to processors: some may be stranded. */
		CHECK(fill() >= 2 * MANY);
		fact("%s: the context is what it was", reasons[reason].name);
		end_context(ctx);
	}
	return finish();
}
