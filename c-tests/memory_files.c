/*
 * Description: memfd and tmpfs files behave as files on disk; a sealed memfd refuses writes in
 * the event.
 */
#include "all_operations.h"

int main(void)
{
	io_context_t ctx = new_context(16);
	int memory = MUST(memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING)), shared;
	struct iocb iocb;
	char buffer[16];

	io_prep_pwrite(&iocb, memory, "hello", 5, 10);
	expect_at_once(ctx, &iocb, 5, "write");
	io_prep_pread(&iocb, memory, buffer, 16, 8);
	expect_at_once(ctx, &iocb, 7, "read");
	CHECK(memcmp(buffer, "\0\0hello", 7) == 0);
	io_prep_pread(&iocb, memory, buffer, 16, 15);
	expect_at_once(ctx, &iocb, 0, "read at the end");
	io_prep_fsync(&iocb, memory);
	expect_result(ctx, &iocb, 0, "fsync");

	MUST(fcntl(memory, F_ADD_SEALS, F_SEAL_GROW));
	io_prep_pwrite(&iocb, memory, "hello", 5, 0);
	expect_at_once(ctx, &iocb, 5, "F_SEAL_GROW: write inside");
	io_prep_pwrite(&iocb, memory, "hello", 5, 15);
	expect_at_once(ctx, &iocb, -EPERM, "F_SEAL_GROW: write at the end");
	MUST(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE));
	io_prep_pwrite(&iocb, memory, "hello", 5, 0);
	expect_at_once(ctx, &iocb, -EPERM, "F_SEAL_WRITE: write inside");
	io_prep_pread(&iocb, memory, buffer, 5, 0);
	expect_at_once(ctx, &iocb, 5, "F_SEAL_WRITE: read");

	tell_all_operations(ctx, MUST(memfd_create("all", MFD_CLOEXEC)), "memfd");
	tell_all_operations(ctx, memory, "sealed memfd");
	shared = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (shared != -1)
		tell_all_operations(ctx, shared, "tmpfs");
	end_context(ctx);
	return finish();
}
