/*
 * Description: direct reads and writes: of mapped blocks, at the end, of holes, and past the
 * end.
 */
#include "check.h"

#include <sys/vfs.h>

static io_context_t ctx;
static char *memory;

/* Most file systems do these in io_submit, ext4 certainly. */
static void expect_synchronous(struct iocb *iocb, long want, const char *what)
{
	struct statfs status;

	MUST(fstatfs(iocb->aio_fildes, &status));
	if (status.f_type == 0xef53)
		expect_at_once(ctx, iocb, want, "%s", what);
	else
		expect_result(ctx, iocb, want, "%s", what);
}

int main(void)
{
	int file = scratch_direct("file", 65536, 'x'), holes;
	struct iovec iov[3];
	struct iocb iocb;
	struct stat status;

	ctx = new_context(16);
	memory = pages(64, PROT_READ | PROT_WRITE);

	io_prep_pread(&iocb, file, memory, 65536, 0);
	expect_result(ctx, &iocb, 65536, "read");
	CHECK(filled_with(memory, 'x', 65536));
	io_prep_pread(&iocb, file, memory, 65536, 61440);
	expect_result(ctx, &iocb, 4096, "read across the end");

	memset(memory, 'y', 8192);
	io_prep_pwrite(&iocb, file, memory, 8192, 4096);
	expect_result(ctx, &iocb, 8192, "overwrite");
	memset(memory, 0, 65536);
	io_prep_pread(&iocb, file, memory, 16384, 0);
	expect_result(ctx, &iocb, 16384, "read again");
	CHECK(filled_with(memory, 'x', 4096) && filled_with(memory + 4096, 'y', 8192) &&
	      filled_with(memory + 12288, 'x', 4096));

	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){ memory + (2 - i) * 4096, 4096 };
		memset(iov[i].iov_base, 'a' + i, 4096);
	}
	io_prep_pwritev(&iocb, file, iov, 3, 16384);
	expect_result(ctx, &iocb, 12288, "writev");
	memset(memory, 0, 65536);
	io_prep_preadv(&iocb, file, iov, 3, 16384);
	expect_result(ctx, &iocb, 12288, "readv");
	for (int i = 0; i < 3; i++)
		CHECK(filled_with(iov[i].iov_base, 'a' + i, 4096));

	/* What the kernel does in io_submit. */
	io_prep_pread(&iocb, file, memory, 4096, 65536);
	expect_synchronous(&iocb, 0, "read at the end");
	io_prep_pread(&iocb, file, memory, 4096, 1 << 20);
	expect_synchronous(&iocb, 0, "read past the end");
	memset(memory, 'z', 4096);
	io_prep_pwrite(&iocb, file, memory, 4096, 65536);
	expect_synchronous(&iocb, 4096, "write at the end");
	MUST(fstat(file, &status));
	expect(status.st_size, 69632, "size");
	io_prep_pwrite(&iocb, file, memory, 4096, 1 << 20);
	expect_synchronous(&iocb, 4096, "write past the end");
	MUST(fstat(file, &status));
	expect(status.st_size, (1 << 20) + 4096, "size");
	io_prep_pread(&iocb, file, memory, 4096, 1 << 19);
	expect_synchronous(&iocb, 4096, "read of a hole");
	CHECK(filled_with(memory, 0, 4096));
	io_prep_pread(&iocb, file, memory, 0, 0);
	expect_synchronous(&iocb, 0, "read of nothing");

	/* A hole that is written, and one that is allocated and not yet written. */
	holes = MUST(open("holes", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600));
	MUST(ftruncate(holes, 1 << 20));
	memset(memory, 'h', 8192);
	io_prep_pwrite(&iocb, holes, memory, 8192, 16384);
	expect_result(ctx, &iocb, 8192, "write into a hole");
	if (fallocate(holes, 0, 32768, 8192) == 0) {
		io_prep_pwrite(&iocb, holes, memory, 8192, 32768);
		expect_result(ctx, &iocb, 8192, "write into allocated blocks");
	}
	memset(memory, 0, 65536);
	io_prep_pread(&iocb, holes, memory, 65536, 0);
	expect_result(ctx, &iocb, 65536, "read");
	CHECK(filled_with(memory, 0, 16384) && filled_with(memory + 16384, 'h', 8192) &&
	      filled_with(memory + 24576, 0, 8192));

	/* What a direct write puts there, a buffered read finds. */
	int buffered = MUST(open("file", O_RDONLY | O_CLOEXEC));
	memset(memory, 'q', 4096);
	io_prep_pwrite(&iocb, file, memory, 4096, 0);
	expect_result(ctx, &iocb, 4096, "direct write");
	char check[100];
	io_prep_pread(&iocb, buffered, check, sizeof(check), 0);
	expect_result(ctx, &iocb, sizeof(check), "buffered read");
	CHECK(filled_with(check, 'q', sizeof(check)));
	end_context(ctx);
	return finish();
}
