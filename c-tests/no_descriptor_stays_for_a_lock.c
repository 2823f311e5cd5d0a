/* Description: requests on a file with record locks are over, then the locks are gone: after io_destroy
 * nothing holds the file open. */
#include "check.h"

int main(void)
{
	int file = scratch_direct("file", 4 * PAGE, 'o'), before = entries("/proc/self/fd");
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	io_context_t ctx = new_context(8);
	struct io_event event;
	struct iocb iocb;

	MUST(fcntl(file, F_SETLK, &lock));
	for (int round = 0; round < 3; round++) {
		io_prep_pwrite(&iocb, file, buffer, PAGE, PAGE);
		expect(submit(ctx, &iocb), 1, "direct write");
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		io_prep_fsync(&iocb, file);
		expect(submit(ctx, &iocb), 1, "fsync");
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
	}
	lock.l_type = F_UNLCK;
	MUST(fcntl(file, F_SETLK, &lock));
	end_context(ctx);
	expect(entries("/proc/self/fd") - before, 0, "descriptors left");
	return finish();
}
