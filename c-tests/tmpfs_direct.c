/* Description: a file system without asynchronous direct I/O: done when io_submit returns, in order. */
#include "check.h"

static io_context_t ctx;
static char *memory;

static int shared_memory(const char *name, int flags)
{
	char path[100];

	snprintf(path, sizeof(path), "/dev/shm/uaio-%d-%s", getpid(), name);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600);

	if (fd == -1)
		skip("no O_DIRECT on /dev/shm: %s", strerror(errno));
	unlink(path);
	return fd;
}

static void alone(int fd)
{
	struct iovec vector[2] = { { memory, 512 }, { memory + 4096, 512 } };
	struct iocb iocb;

	for (int round = 0; round < 3; round++) {
		io_prep_pwrite(&iocb, fd, memory, 8192, 8192 * round);
		expect_at_once(ctx, &iocb, 8192, "write at the end");
		io_prep_pwrite(&iocb, fd, memory, 4096, 4096);
		expect_at_once(ctx, &iocb, 4096, "overwrite");
		io_prep_pwrite(&iocb, fd, memory, 4096, 1 << 20);
		expect_at_once(ctx, &iocb, 4096, "write behind a hole");
		io_prep_pread(&iocb, fd, memory, 4096, 0);
		expect_at_once(ctx, &iocb, 4096, "read");
		io_prep_pread(&iocb, fd, memory, 4096, 1 << 19);
		expect_at_once(ctx, &iocb, 4096, "read of a hole");
		io_prep_preadv(&iocb, fd, vector, 2, 512);
		expect_at_once(ctx, &iocb, 1024, "vectored read");
		MUST(ftruncate(fd, 0));
	}
}

/* [read, write, read, write, read] of one block. */
static void in_order(int fd, int also)
{
	struct iocb iocbs[5], *list[5];
	struct io_event events[5];
	int wrong = 0, early = 0;

	memset(memory, 'a', 4096);
	MUST(pwrite(fd, memory, 4096, 0));
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 5; i++) {
			int through = i & 2 ? also : fd;

			list[i] = &iocbs[i];
			if (i & 1)
				io_prep_pwrite(list[i], through, memory + 4096 * i, 4096, 0);
			else
				io_prep_pread(list[i], through, memory + 4096 * i, 4096, 0);
		}
		memset(memory + 4096, 'b', 4096);
		memset(memory + 3 * 4096, 'a', 4096);
		CHECK(io_submit(ctx, 5, list) == 5);
		early += in_ring(ctx) == 5;
		CHECK(reap(ctx, 5, 5, events) == 5);
		for (int i = 0; i < 5; i++)
			CHECK(events[i].obj == list[i] && event_res(&events[i]) == 4096);
		wrong += memory[0] != 'a' || memory[2 * 4096] != 'b' || memory[4 * 4096] != 'a';
	}
	expect(wrong, 0, "reads that saw something else than what was before them");
	expect(early, 200, "batches that were done when io_submit returned");
}

static void nowait(int fd, const char *what)
{
	struct iocb iocb, first, last, *list[] = { &first, &iocb, &last };
	char byte = 0;

	io_prep_pread(&iocb, fd, memory, 4096, 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_submit(ctx, &iocb, -EOPNOTSUPP, "%s: read with RWF_NOWAIT", what);
	io_prep_pwrite(&iocb, fd, memory, 4096, 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_submit(ctx, &iocb, -EOPNOTSUPP, "%s: write with RWF_NOWAIT", what);
	memset(memory, '1', 4096);
	io_prep_pwrite(&first, fd, memory, 4096, 0);
	memset(memory + 4096, '2', 4096);
	io_prep_pwrite(&last, fd, memory + 4096, 4096, 0);
	last.key = 77;
	expect(io_submit(ctx, 3, list), 1, "%s: behind a write", what);
	expect(drain(ctx), 1, "%s: events", what);
	expect(last.key, 77, "%s: key behind", what);
	MUST(pread(fd, memory + 8192, 4096, 0));
	byte = memory[8192];
	fact("%s: content %c", what, byte);
	CHECK(byte == '1');
}

int main(void)
{
	char path[64];

	ctx = new_context(16);
	memory = pages(8, PROT_READ | PROT_WRITE);
	int direct = shared_memory("direct", O_DIRECT), buffered = shared_memory("buffered", 0);

	alone(direct);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", direct);
	int also = MUST(open(path, O_RDWR | O_DIRECT | O_CLOEXEC));

	in_order(direct, direct);
	in_order(direct, also);
	nowait(direct, "direct");
	nowait(buffered, "buffered");
	end_context(ctx);
	return finish();
}
