/* Description: requests leave the record locks alone that the program has on the file. */
#include "check.h"

#include <sys/wait.h>

/* Whether another process finds the file locked. */
static bool is_locked(int file)
{
	int status;
	pid_t child = MUST(fork());

	if (child == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		_exit(fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
	}
	MUST(waitpid(child, &status, 0));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
	int file = scratch_direct("file", 4 * PAGE, 'o');
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	io_context_t ctx = new_context(8);
	struct io_event event;
	struct iocb iocb;

	MUST(fcntl(file, F_SETLK, &lock));
	for (int round = 0; round < 3; round++) {
		io_prep_pread(&iocb, file, buffer, PAGE, 0);
		expect(submit(ctx, &iocb), 1, "direct read");
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		io_prep_pwrite(&iocb, file, buffer, PAGE, PAGE);
		expect(submit(ctx, &iocb), 1, "direct write");
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		io_prep_fsync(&iocb, file);
		expect(submit(ctx, &iocb), 1, "fsync");
		expect(reap(ctx, 1, 1, &event), 1, "reaped");
		fact("locked: %s", is_locked(file) ? "yes" : "no");
		CHECK(is_locked(file));
	}
	end_context(ctx);
	fact("locked after io_destroy: %s", is_locked(file) ? "yes" : "no");
	CHECK(is_locked(file));
	lock.l_type = F_UNLCK;
	MUST(fcntl(file, F_SETLK, &lock));
	CHECK(!is_locked(file));
	return finish();
}
