/* Description: what is wrong with a direct read or write shows in its event, not at submit. */
#include "check.h"

static io_context_t ctx;

/* How much alignment is needed depends on the device and the file system. */
static void tell(struct iocb *iocb, const char *what)
{
	struct outcome got = outcome_of(ctx, iocb);

	CHECK(got.submitted == 1);
	fact("%s: %s%s", what, code(got.res), got.res < 0 && !got.at_once ? ", later" : "");
}

int main(void)
{
	int file = scratch_direct("file", 65536, 'x');
	char *memory = pages(4, PROT_READ | PROT_WRITE);
	char *read_only = pages(1, PROT_READ), *half = pages(2, PROT_READ | PROT_WRITE);
	struct iovec iov[2] = { { memory, 4096 }, { memory + 4096, 100 } };
	struct iocb iocb;

	ctx = new_context(16);
	io_prep_pread(&iocb, file, memory + 1, 4096, 0);
	tell(&iocb, "read into a misaligned buffer");
	io_prep_pread(&iocb, file, memory, 4096, 1);
	tell(&iocb, "read at a misaligned offset");
	io_prep_pread(&iocb, file, memory, 100, 0);
	tell(&iocb, "read of a misaligned length");
	io_prep_preadv(&iocb, file, iov, 2, 0);
	tell(&iocb, "readv with a misaligned length");
	io_prep_pread(&iocb, file, memory, 512, 512);
	tell(&iocb, "read of a sector");
	io_prep_pwrite(&iocb, file, memory + 1, 4096, 0);
	tell(&iocb, "write from a misaligned buffer");
	io_prep_pwrite(&iocb, file, memory, 4096, 1);
	tell(&iocb, "write at a misaligned offset");
	io_prep_pwrite(&iocb, file, memory, 100, 0);
	tell(&iocb, "write of a misaligned length");
	io_prep_pwrite(&iocb, file, memory, 100, 65536);
	tell(&iocb, "write of a misaligned length at the end");

	io_prep_pread(&iocb, file, NULL, 4096, 0);
	expect_result(ctx, &iocb, -EFAULT, "read into NULL");
	io_prep_pread(&iocb, file, unmapped(), 4096, 0);
	expect_result(ctx, &iocb, -EFAULT, "read into unmapped memory");
	io_prep_pread(&iocb, file, read_only, 4096, 0);
	expect_result(ctx, &iocb, -EFAULT, "read into read-only memory");
	io_prep_pwrite(&iocb, file, read_only, 4096, 0);
	expect_result(ctx, &iocb, 4096, "write from read-only memory");
	io_prep_pwrite(&iocb, file, NULL, 4096, 0);
	expect_result(ctx, &iocb, -EFAULT, "write from NULL");
	/* Out of reach, but not free: another thread may map something into a hole. */
	MUST(mprotect(half + PAGE, PAGE, PROT_NONE));
	io_prep_pread(&iocb, file, half, 8192, 0);
	tell_outcome(ctx, &iocb, "read into half-mapped memory");
	io_prep_pwrite(&iocb, file, half, 8192, 0);
	tell_outcome(ctx, &iocb, "write from half-mapped memory");
	io_prep_pread(&iocb, file, NULL, 4096, 1 << 20);
	tell_outcome(ctx, &iocb, "read past the end into NULL");
	end_context(ctx);
	return finish();
}
