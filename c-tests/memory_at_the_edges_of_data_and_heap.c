/* Description: iocbs and events in data, in constants, in the heap, across its end, behind it, and in what
 * was given back of it. */
#include "check.h"

#include <unistd.h>

static char byte;
static int file;
static io_context_t ctx;

/* Beside the pointers of the program, which the loader makes read-only once they are right. */
static const struct iocb constant = {
	.data = &byte,
	.aio_lio_opcode = IO_CMD_PREAD,
	.aio_fildes = 3,
	.u.c = { .buf = &byte, .nbytes = 1 },
};
static struct iocb variable;
static struct io_event variable_event;

static int submit_at(struct iocb *iocb, bool is_made)
{
	struct iocb *list[] = { iocb };

	if (is_made)
		io_prep_pread(iocb, file, &byte, 1, 0);
	return io_submit(ctx, 1, list);
}

static int reap_at(struct io_event *event)
{
	return io_getevents(ctx, 1, 1, event, &(struct timespec){ 1, 0 });
}

static void *moved_break(long by)
{
	void *before = sbrk(by);

	if (before == (void *)-1)
		die("sbrk");
	return (char *)sbrk(0);
}

int main(void)
{
	struct iocb local, *there;
	struct io_event event;
	char *end;

	/* The descriptor of `constant`. */
	file = scratch_filled("file", 0, 16, 'f');
	if (file != 3)
		file = (int)MUST(dup2(file, 3));
	ctx = new_context(8);

	expect(submit_at(&variable, true), 1, "data");
	expect(reap_at(&variable_event), 1, "event in data");
	expect(submit_at((struct iocb *)&constant, false), -EFAULT, "constant");
	expect(submit_at(&local, true), 1, "stack");
	expect(reap_at(&event), 1, "event on the stack");

	/* Whole pages at the end of the heap. */
	end = moved_break(0);
	end = moved_break(4 * (long)PAGE - (long)((uintptr_t)end % PAGE));
	there = (struct iocb *)(end - sizeof(*there));
	expect(submit_at(there, true), 1, "at the end of the heap");
	expect(reap_at((struct io_event *)(end - sizeof(event))), 1, "event there");
	CHECK(((struct io_event *)(end - sizeof(event)))->obj == there);
	expect(submit_at((struct iocb *)(end - 16), false), -EFAULT, "across the end of the heap");
	expect(submit_at((struct iocb *)end, false), -EFAULT, "behind the heap");
	expect(submit_at(&local, true), 1, "one more");
	expect(reap_at((struct io_event *)(end - 8)), -EFAULT, "event across the end of the heap");
	expect(reap_at((struct io_event *)end), -EFAULT, "event behind the heap");
	expect(io_submit(ctx, 2, (struct iocb **)(end - 8)), -EFAULT, "array across the end of the heap");
	moved_break(-2 * (long)PAGE);
	expect(submit_at(there, false), -EFAULT, "what was given back of the heap");
	expect(reap_at((struct io_event *)(end - 64)), -EFAULT, "event in what was given back");
	expect(reap_at(&event), 1, "the event");
	expect(errno, 0, "errno");
	end_context(ctx);
	return finish();
}
