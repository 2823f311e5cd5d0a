/* Description: batches of buffered transfers, again and again on the same numbers, whatever is behind
 * those by then: every event in order and in the ring when io_submit returns, and the errors of those
 * that cannot be. */
#include "pending.h"

#define COUNT_OF_BATCH 4
/* So often that what the library believes is asked about anew in between. */
#define REPEATS 70

static io_context_t ctx;
static char *memory;

/* Submits reads or writes of a page each at the descriptor; tells what became of them. */
static void run(const char *what, int fd, bool writes)
{
	struct iocb iocbs[COUNT_OF_BATCH], *list[COUNT_OF_BATCH];
	struct io_event events[COUNT_OF_BATCH];
	int submitted, at_once, got;

	for (int i = 0; i < COUNT_OF_BATCH; i++) {
		void *page = memory + i * (int)PAGE;

		list[i] = &iocbs[i];
		if (writes)
			io_prep_pwrite(&iocbs[i], fd, page, PAGE, i * (long)PAGE);
		else
			io_prep_pread(&iocbs[i], fd, page, PAGE, i * (long)PAGE);
		iocbs[i].data = &iocbs[COUNT_OF_BATCH - 1 - i];
		iocbs[i].key = 7;
	}
	submitted = io_submit(ctx, COUNT_OF_BATCH, list);
	fact("%s: io_submit %s", what, code(submitted));
	at_once = (int)in_ring(ctx);
	fact("%s: at once: %d", what, at_once);
	got = reap(ctx, submitted > 0 ? submitted : 0, COUNT_OF_BATCH, events);
	CHECK(got == (submitted > 0 ? submitted : 0));
	for (int i = 0; i < COUNT_OF_BATCH; i++) {
		bool is_there = i < got;

		/* fs/aio.c, io_submit_one: the key is cleared. */
		CHECK(!is_there || (event_is_for(&events[i], &iocbs[i]) && iocbs[i].key == 0));
		fact("%s: %d: %s", what, i, is_there ? code(event_res(&events[i])) : "-");
	}
	CHECK(in_ring(ctx) == 0);
}

static int opened(const char *path, int flags)
{
	return (int)MUST(open(path, flags | O_CREAT | O_CLOEXEC, 0600));
}

/* The same number for another file. */
static void put(int fd, int file)
{
	MUST(dup3(file, fd, O_CLOEXEC));
	close(file);
}

/* What the number means changes, and the library has seen another thing there just now. */
static void changing_files(void)
{
	int fd = opened("file", O_RDWR), other;
	struct channel pipe;

	MUST(ftruncate(fd, 3 * PAGE));
	run("read of a file", fd, false);
	run("write to a file", fd, true);
	MUST(fcntl(fd, F_SETFL, O_APPEND));
	run("appending", fd, true);
	fact("size: %ld pages", (long)lseek(fd, 0, SEEK_END) / (long)PAGE);
	put(fd, opened("file", O_RDONLY));
	run("write to a file opened for reading", fd, true);
	run("read of a file opened for reading", fd, false);
	put(fd, opened("other", O_WRONLY));
	run("read of a file opened for writing", fd, false);
	put(fd, (int)MUST(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
	run("read of a directory", fd, false);
	put(fd, (int)MUST(open("/dev/zero", O_RDWR | O_CLOEXEC)));
	run("read of /dev/zero", fd, false);
	put(fd, (int)MUST(eventfd(2, EFD_CLOEXEC | EFD_SEMAPHORE | EFD_NONBLOCK)));
	run("read of an eventfd", fd, false);
	pipe = new_pipe();
	CHECK(MUST(write(pipe.out, memory, 3 * PAGE)) == 3 * (long)PAGE);
	MUST(fcntl(pipe.in, F_SETFL, O_NONBLOCK));
	put(fd, pipe.in);
	run("read of a pipe with three pages", fd, false);
	put(fd, opened("file", O_RDWR));
	run("read of the file again", fd, false);
	other = (int)MUST(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
	put(fd, other);
	run("write to a file in /proc", fd, true);
	close(fd);
	close(pipe.out);
	run("read of nothing", fd, false);
}

/* One that is refused ends the batch; those before it are done, those behind are not. */
static void refused_in_the_middle(void)
{
	struct iocb iocbs[3], *list[3] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	int file = opened("file", O_RDWR);
	struct io_event events[3];

	for (int way = 0; way < 6; way++) {
		for (int i = 0; i < 3; i++) {
			list[i] = &iocbs[i];
			io_prep_pread(&iocbs[i], file, memory, 100 + i, 0);
		}
		switch (way) {
		case 0:
			iocbs[1].aio_fildes = -1;
			break;
		case 1:
			iocbs[1].aio_lio_opcode = (short)99;
			break;
		case 2:
			list[1] = (struct iocb *)16;
			break;
		case 3:
			iocbs[1].u.c.nbytes = (unsigned long)-1;
			break;
		case 4:
			iocbs[1].u.c.offset = -1;
			break;
		case 5:
			iocbs[1].u.c.buf = (void *)16;
			break;
		}
		fact("way %d: io_submit %s", way, code(io_submit(ctx, 3, list)));
		fact("way %d: at once: %u", way, in_ring(ctx));
		for (int i = 0; i < 3; i++) {
			bool is_there = in_ring(ctx) > 0 && reap(ctx, 1, 1, events) == 1;

			fact("way %d: %s", way, is_there ? code(event_res(events)) : "-");
		}
	}
	close(file);
}

/* More than the kernel has room for at once where a context begins. */
static void many(int count)
{
	struct iocb *iocbs = calloc((size_t)count, sizeof(*iocbs));
	struct iocb **list = calloc((size_t)count, sizeof(*list));
	struct io_event *events = calloc((size_t)count, sizeof(*events));
	int file = opened("file", O_RDWR), wrong = 0;

	for (int i = 0; i < count; i++) {
		list[i] = &iocbs[i];
		io_prep_pread(&iocbs[i], file, memory, (size_t)(1 + i % 100), 0);
	}
	expect(io_submit(ctx, count, list), count, "%d: io_submit", count);
	expect((long)in_ring(ctx), count, "%d: at once", count);
	expect(reap(ctx, count, count, events), count, "%d: events", count);
	for (int i = 0; i < count; i++)
		wrong += events[i].obj != &iocbs[i] || event_res(&events[i]) != 1 + i % 100;
	expect(wrong, 0, "%d: wrong", count);
	close(file);
	free(iocbs);
	free(list);
	free(events);
}

int main(void)
{
	memory = aligned_alloc(PAGE, COUNT_OF_BATCH * PAGE);
	memset(memory, 'm', COUNT_OF_BATCH * PAGE);
	ctx = new_context(256);
	changing_files();
	refused_in_the_middle();
	for (int i = 0; i < REPEATS; i++)
		many(i % 2 ? 2 : 250);
	changing_files();
	end_context(ctx);
	return finish();
}
