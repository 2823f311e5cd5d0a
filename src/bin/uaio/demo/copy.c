/*
 * Copies a file with libaio.
 *
 * usage: copy SOURCE COPY
 *
 * Up to DEPTH blocks are in flight at a time, each read and then written; io_submit() gets about
 * BATCH requests at a time. Two polls run beside the copy: one waits for a pipe that is written to
 * when the copy is done, the other is cancelled. At the end both files are read again and summed.
 *
 * This is plain libaio: any libaio.so.1 runs it. What happened is printed to standard output, one
 * "name value" per line; errors go to standard error, and the exit status is 1.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH = 32, BATCH = 8, BLOCK = 128 * 1024, ALIGNMENT = 4096, PATIENCE = 30 };

struct block {
	struct iocb iocb;
	char *data;
	long long offset;
	size_t bytes;
	int writing;
};

static io_context_t ctx;
static struct block blocks[DEPTH];
static struct iocb fired, cancelled;
static long events_seen, fired_result = -1, cancelled_result = -1;

static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void check(int result, const char *what)
{
	if (result < 0)
		fail("%s: %s", what, strerror(-result));
}

static void submit(struct iocb **batch, long count)
{
	while (count > 0) {
		int accepted = io_submit(ctx, count, batch);

		check(accepted, "io_submit");
		batch += accepted;
		count -= accepted;
	}
}

static long wait_for_events(struct io_event *events, long least, long most)
{
	struct timespec patience = { PATIENCE, 0 };
	int count = io_getevents(ctx, least, most, events, &patience);

	check(count, "io_getevents");
	if (count < least)
		fail("%d events instead of %ld within %d seconds", count, least, PATIENCE);
	events_seen += count;
	return count;
}

static int open_file(const char *path, int flags, int *direct)
{
	/* Not every file system offers O_DIRECT; those that do not refuse it with EINVAL. */
	int fd = open(path, flags | O_CLOEXEC | O_DIRECT, 0600);

	*direct = fd >= 0;
	if (fd < 0 && errno == EINVAL)
		fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

static void open_pipe(int ends[2])
{
	if (pipe(ends) < 0)
		fail("pipe: %s", strerror(errno));
}

static void start_polls(int fired_fd, int cancelled_fd)
{
	struct iocb *batch[] = { &fired, &cancelled };

	io_prep_poll(&fired, fired_fd, POLLIN);
	io_prep_poll(&cancelled, cancelled_fd, POLLIN);
	submit(batch, 2);
}

static int note_poll(const struct io_event *event)
{
	if (event->obj == &fired)
		fired_result = (long)event->res;
	else if (event->obj == &cancelled)
		cancelled_result = (long)event->res;
	else
		return 0;
	return 1;
}

static int start_read(struct block *block, int from, long long *next, long long size)
{
	if (*next == size)
		return 0;
	block->writing = 0;
	block->offset = *next;
	block->bytes = size - *next < BLOCK ? (size_t)(size - *next) : BLOCK;
	*next += block->bytes;
	io_prep_pread(&block->iocb, from, block->data, block->bytes, block->offset);
	block->iocb.data = block;
	return 1;
}

static void start_write(struct block *block, int to)
{
	block->writing = 1;
	io_prep_pwrite(&block->iocb, to, block->data, block->bytes, block->offset);
	block->iocb.data = block;
}

static void check_block(const struct io_event *event)
{
	const struct block *block = event->data;
	const char *what = block->writing ? "write" : "read";

	if ((long)event->res < 0)
		check((int)event->res, what);
	if (event->res != block->bytes)
		fail("%s at %lld: %lu of %zu bytes", what, block->offset, event->res, block->bytes);
}

static void copy(int from, int to, long long size)
{
	struct iocb *batch[DEPTH];
	struct io_event events[DEPTH + 2];
	long long next = 0, done = 0, told = 0;
	long ready = 0, in_flight = 0;

	for (int i = 0; i < DEPTH; i++) {
		if (posix_memalign((void **)&blocks[i].data, ALIGNMENT, BLOCK) != 0)
			fail("no memory");
		if (start_read(&blocks[i], from, &next, size))
			batch[ready++] = &blocks[i].iocb;
	}
	while (done < size) {
		long count;

		submit(batch, ready);
		in_flight += ready;
		ready = 0;
		count = wait_for_events(events, in_flight < BATCH ? in_flight : BATCH, DEPTH + 2);
		in_flight -= count;
		for (long i = 0; i < count; i++) {
			struct block *block = events[i].data;

			if (note_poll(&events[i]))
				fail("a poll ended before its time");
			check_block(&events[i]);
			if (!block->writing) {
				start_write(block, to);
				batch[ready++] = &block->iocb;
				continue;
			}
			done += block->bytes;
			if (start_read(block, from, &next, size))
				batch[ready++] = &block->iocb;
		}
		if (done - told >= size / 64 || done == size) {
			told = done;
			printf("copied %lld\n", done);
			alarm(2 * PATIENCE);
		}
	}
	for (int i = 0; i < DEPTH; i++)
		free(blocks[i].data);
}

static void sync_data(int fd)
{
	struct iocb iocb, *batch[] = { &iocb };
	struct io_event event;

	io_prep_fdsync(&iocb, fd);
	submit(batch, 1);
	wait_for_events(&event, 1, 1);
	if (event.obj != &iocb)
		fail("an event of another request instead of fdsync's");
	check((int)event.res, "fdsync");
}

static void finish_polls(int write_end)
{
	struct io_event event;
	int result;

	if (write(write_end, "x", 1) != 1)
		fail("pipe: %s", strerror(errno));
	wait_for_events(&event, 1, 1);
	if (!note_poll(&event) || fired_result < 0 || !(fired_result & POLLIN))
		fail("the poll of a readable pipe ended with %ld", fired_result);

	/* The cancelled request still has its event; it comes through the queue. */
	result = io_cancel(ctx, &cancelled, &event);
	if (result != -EINPROGRESS)
		fail("io_cancel: %s", result == 0 ? "no event will follow" : strerror(-result));
	wait_for_events(&event, 1, 1);
	if (!note_poll(&event) || cancelled_result != 0)
		fail("the cancelled poll ended with %ld", cancelled_result);
	printf("polled %#lx\ncancelled %ld\n", (unsigned long)fired_result, cancelled_result);
}

/* FNV-1a, read without libaio so that it checks what the copy has done. */
static unsigned long long checksum(const char *path)
{
	unsigned long long sum = 0xcbf29ce484222325;
	unsigned char *data = malloc(BLOCK);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes;

	if (fd < 0 || !data)
		fail("%s: %s", path, strerror(errno));
	while ((bytes = read(fd, data, BLOCK)) > 0)
		for (ssize_t i = 0; i < bytes; i++)
			sum = (sum ^ data[i]) * 0x100000001b3;
	if (bytes < 0)
		fail("%s: %s", path, strerror(errno));
	free(data);
	close(fd);
	return sum;
}

int main(int argc, char **argv)
{
	int from, to, direct_from, direct_to, fired_pipe[2], cancelled_pipe[2];
	struct timespec begin, end;
	struct stat status;
	Dl_info library;

	if (argc != 3)
		fail("usage: %s SOURCE COPY", argv[0]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(2 * PATIENCE);
	if (dladdr((void *)(uintptr_t)io_submit, &library))
		printf("library %s\n", library.dli_fname);

	from = open_file(argv[1], O_RDONLY, &direct_from);
	to = open_file(argv[2], O_RDWR | O_CREAT | O_EXCL, &direct_to);
	if (fstat(from, &status) < 0)
		fail("%s: %s", argv[1], strerror(errno));
	if (status.st_size % ALIGNMENT != 0)
		fail("%s: the size is not a multiple of %d", argv[1], ALIGNMENT);
	printf("direct %d\nsize %lld\n", direct_from && direct_to, (long long)status.st_size);
	open_pipe(fired_pipe);
	open_pipe(cancelled_pipe);

	check(io_setup(2 * DEPTH, &ctx), "io_setup");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	check(-posix_fallocate(to, 0, status.st_size), argv[2]);
	start_polls(fired_pipe[0], cancelled_pipe[0]);
	copy(from, to, status.st_size);
	sync_data(to);
	clock_gettime(CLOCK_MONOTONIC, &end);
	finish_polls(fired_pipe[1]);
	check(io_destroy(ctx), "io_destroy");

	printf("nanoseconds %lld\n",
	       (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
	printf("events %ld\n", events_seen);
	printf("source %016llx\n", checksum(argv[1]));
	printf("copy %016llx\n", checksum(argv[2]));
	return 0;
}
