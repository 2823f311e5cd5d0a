/* Description: nothing of an iocb behind a refused one is touched: its key keeps its value. */
#include "check.h"

enum refusal {
	TWO_QUEUES,
	NO_QUEUE,
	LONG_MASK,
	CLOSED,
	CLOSED_WITH_LONG_MASK,
	BAD_EVENTFD,
	READ_ONLY_IOCB,
	BAD_READ,
	NO_OPERATION,
	REFUSALS,
};

static const char *const names[] = {
	"poll of a file with two queues", "poll of a file with none", "poll with a long mask",
	"poll of a closed number", "poll of a closed number with a long mask",
	"poll without its eventfd", "poll from read-only memory", "read of what can be written only",
	"no such operation",
};

static int fifo, file, write_only, quiet[2], loud[2];
static struct iocb *read_only;
static char byte;

static struct iocb *refused(enum refusal kind, struct iocb *iocb)
{
	switch (kind) {
	case TWO_QUEUES:
		io_prep_poll(iocb, fifo, POLLIN);
		break;
	case NO_QUEUE:
		io_prep_poll(iocb, file, POLLPRI);
		break;
	case LONG_MASK:
		io_prep_poll(iocb, quiet[0], POLLIN | 1 << 20);
		break;
	case CLOSED:
		io_prep_poll(iocb, 999, POLLIN);
		break;
	case CLOSED_WITH_LONG_MASK:
		io_prep_poll(iocb, 999, POLLIN | 1 << 20);
		break;
	case BAD_EVENTFD:
		io_prep_poll(iocb, quiet[0], POLLIN);
		io_set_eventfd(iocb, file);
		break;
	case READ_ONLY_IOCB:
		return read_only;
	case BAD_READ:
		io_prep_pread(iocb, write_only, &byte, 1, 0);
		break;
	default:
		io_prep_pread(iocb, file, &byte, 1, 0);
		iocb->aio_lio_opcode = 99;
	}
	return iocb;
}

/* Before: so many polls that wait, or -1: one that is ready, or -2: a read. Behind: the same kinds. */
static void prepare(struct iocb *iocb, int kind)
{
	if (kind == -2)
		io_prep_pread(iocb, file, &byte, 1, 0);
	else
		io_prep_poll(iocb, kind == -1 ? loud[0] : quiet[0], POLLIN);
	iocb->key = 77;
}

static void batch(enum refusal kind, int before, int behind)
{
	io_context_t ctx = new_context(32);
	struct iocb iocbs[16], *list[16], *bad;
	int count = 0, at;
	char keys[100] = "";

	do {
		prepare(&iocbs[count], before);
		list[count] = &iocbs[count];
	} while (++count < before);
	at = count;
	iocbs[count].key = 77;
	bad = list[count] = refused(kind, &iocbs[count]);
	if (bad == &iocbs[count])
		bad->key = 77;
	count++;
	for (int i = 0; i < 2; i++, count++) {
		prepare(&iocbs[count], behind);
		list[count] = &iocbs[count];
	}
	int got = io_submit(ctx, count, list);
	for (int i = 0; i < count; i++)
		sprintf(keys + strlen(keys), " %u", list[i]->key);
	expect(got, at, "%s, behind %d of %d, before %d", names[kind], at, before, behind);
	fact("keys%s", keys);
	for (int i = at + 1; i < count; i++)
		CHECK(list[i]->key == 77);
	/* Alone it tells its error. */
	if (before == -1 && behind == -1)
		fact("alone: %s", code(io_submit(ctx, 2, list + at)));
	drain(ctx);
	end_context(ctx);
}

int main(void)
{
	static const int kinds[] = { -2, -1, 1, 2, 6 };

	MUST(mkfifo("fifo", 0600));
	fifo = MUST(open("fifo", O_RDWR | O_CLOEXEC));
	file = scratch_filled("file", 0, 4096, 'x');
	write_only = MUST(open("file", O_WRONLY | O_CLOEXEC));
	MUST(pipe2(quiet, O_CLOEXEC));
	MUST(pipe2(loud, O_CLOEXEC));
	MUST(write(loud[1], "x", 1));
	read_only = pages(1, PROT_READ | PROT_WRITE);
	io_prep_poll(read_only, quiet[0], POLLIN);
	read_only->key = 77;
	MUST(mprotect(read_only, PAGE, PROT_READ));
	for (enum refusal kind = 0; kind < REFUSALS; kind++)
		for (unsigned before = 0; before < COUNT(kinds); before++)
			for (unsigned behind = 0; behind < 3; behind++)
				batch(kind, kinds[before], kinds[behind]);
	return finish();
}
