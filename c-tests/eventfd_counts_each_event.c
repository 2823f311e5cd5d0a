/* Description: each event of a request with a resfd adds one to it, whatever its result; a batch of
 * five adds five. */
#include "pending.h"

static io_context_t ctx;
static int resfd;

static void counted(struct iocb *iocb, const char *what)
{
	struct io_event event;

	io_set_eventfd(iocb, resfd);
	if (submit(ctx, iocb) != 1)
		fail("%s: refused", what);
	expect(take_counts(resfd, 1), 1, "%s: count", what);
	expect(in_ring(ctx), 1, "%s: events in the ring", what);
	if (take_from_ring(ctx, &event))
		fact("%s: %s", what, code(event_res(&event)));
}

int main(void)
{
	int file = scratch_filled("file", 0, 8 * PAGE, 'f');
	int direct = scratch_direct("direct", 8 * PAGE, 'd');
	char *buffer = pages(8, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	struct iocb iocb, iocbs[5], *list[5];

	ctx = new_context(16);
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));

	io_prep_pread(&iocb, file, buffer, 100, 0);
	counted(&iocb, "read");
	io_prep_pwrite(&iocb, file, buffer, 100, 0);
	counted(&iocb, "write");
	io_prep_pread(&iocb, file, NULL, 100, 0);
	counted(&iocb, "read to NULL");
	io_prep_pread(&iocb, file, buffer, 100, 1 << 20);
	counted(&iocb, "read past the end");
	io_prep_pwrite(&iocb, channel.out, buffer, 10, 0);
	counted(&iocb, "write to a pipe");
	io_prep_poll(&iocb, channel.in, POLLIN);
	counted(&iocb, "poll that is ready");
	io_prep_pread(&iocb, direct, buffer, PAGE, 0);
	counted(&iocb, "direct read");
	io_prep_pwrite(&iocb, direct, buffer, PAGE, PAGE);
	counted(&iocb, "direct write");
	io_prep_pread(&iocb, direct, buffer + 1, 7, 3);
	counted(&iocb, "misaligned direct read");
	io_prep_fsync(&iocb, file);
	counted(&iocb, "fsync");
	io_prep_fdsync(&iocb, direct);
	counted(&iocb, "fdsync");

	for (int i = 0; i < 5; i++) {
		io_prep_pread(&iocbs[i], i % 2 ? direct : file, buffer + PAGE * i, PAGE, 0);
		io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	expect(io_submit(ctx, 5, list), 5, "batch");
	expect(take_counts(resfd, 5), 5, "batch: count");
	expect(drain(ctx), 5, "batch: events");

	/* Half of them without. */
	for (int i = 0; i < 5; i++)
		iocbs[i].u.c.flags = i % 2 ? FLAG_RESFD : 0;
	expect(io_submit(ctx, 5, list), 5, "two of five");
	expect(take_counts(resfd, 2), 2, "two of five: count");
	EVENTUALLY(in_ring(ctx) == 5);
	expect(drain(ctx), 5, "two of five: events");

	/* While a poll waits, and when it completes. */
	empty_out(channel.in);
	io_prep_poll(&iocb, channel.in, POLLIN);
	io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	sleep_ms(20);
	expect(take_count(resfd), 0, "poll that waits: count");
	feed(channel.out);
	expect(take_counts(resfd, 1), 1, "poll that waited: count");
	expect(in_ring(ctx), 1, "poll that waited: events in the ring");
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "poll that waited");
	expect(take_count(resfd), 0, "after all: count");
	end_context(ctx);
	return finish();
}
