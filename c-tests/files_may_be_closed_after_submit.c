/*
 * Description: a request keeps its file: closing the descriptor, or another file there, changes
 * nothing.
 */
#include "check.h"

#define LENGTH (1ul << 20)

static io_context_t ctx;
static char *memory;

static void with(const char *what, void (*meddle)(int))
{
	struct iocb read, write, sync, *list[] = { &read, &write, &sync };
	struct io_event events[3];
	int file = scratch_direct("file", 2 * LENGTH, 'x');
	int other = scratch_filled("other", 0, 2 * LENGTH, 'o');

	memset(memory, 'm', LENGTH);
	io_prep_pread(&read, file, memory + LENGTH, LENGTH, 0);
	io_prep_pwrite(&write, file, memory, LENGTH, LENGTH);
	io_prep_fsync(&sync, file);
	expect(io_submit(ctx, 3, list), 3, "%s: submitted", what);
	meddle(file);
	expect(reap(ctx, 3, 3, events), 3, "%s: reaped", what);
	for (int i = 0; i < 3; i++)
		CHECK(event_res(&events[i]) == (events[i].obj == &sync ? 0 : (long)LENGTH));
	CHECK(filled_with(memory + LENGTH, 'x', LENGTH));

	file = MUST(open("file", O_RDONLY | O_CLOEXEC));
	MUST(pread(file, memory + LENGTH, LENGTH, LENGTH));
	CHECK(filled_with(memory + LENGTH, 'm', LENGTH));
	MUST(pread(other, memory + LENGTH, LENGTH, LENGTH));
	CHECK(filled_with(memory + LENGTH, 'o', LENGTH));
	close(file);
	close(other);
}

static void replace(int fd)
{
	int other = MUST(open("other", O_RDWR | O_CLOEXEC));

	MUST(dup2(other, fd));
	close(other);
}

static void replace_by_pipe(int fd)
{
	int pair[2];

	MUST(pipe2(pair, O_CLOEXEC));
	MUST(dup2(pair[0], fd));
	close(pair[0]);
	close(pair[1]);
}

static void close_it(int fd)
{
	MUST(close(fd));
}

int main(void)
{
	ctx = new_context(16);
	memory = pages(2 * LENGTH / PAGE, PROT_READ | PROT_WRITE);
	with("closed", close_it);
	with("another file by dup2", replace);
	with("a pipe by dup2", replace_by_pipe);
	end_context(ctx);
	return finish();
}
