/* Every operation on one file, told and not asserted: which files can do what depends on the
 * kernel. */
#ifndef ALL_OPERATIONS_H
#define ALL_OPERATIONS_H

#include "check.h"

/*
 * The descriptor must be O_NONBLOCK, or of a file that never blocks. What is written are the bytes
 * "87654321", and for an eventfd a number that it accepts.
 */
static inline void tell_all_operations(io_context_t ctx, int fd, const char *what)
{
	static const long long offsets[] = { 0, 4, 1 << 20 };
	char buffer[8];
	struct iovec iov[2] = { { buffer, 3 }, { buffer + 3, 5 } };
	struct iocb iocb;

	for (size_t i = 0; i < COUNT(offsets); i++) {
		memcpy(buffer, "87654321", 8);
		io_prep_pwrite(&iocb, fd, buffer, 8, offsets[i]);
		tell_outcome(ctx, &iocb, "%s: pwrite at %lld", what, offsets[i]);
		io_prep_pread(&iocb, fd, buffer, 8, offsets[i]);
		tell_outcome(ctx, &iocb, "%s: pread at %lld", what, offsets[i]);
		io_prep_pwritev(&iocb, fd, iov, 2, offsets[i]);
		tell_outcome(ctx, &iocb, "%s: pwritev at %lld", what, offsets[i]);
		io_prep_preadv(&iocb, fd, iov, 2, offsets[i]);
		tell_outcome(ctx, &iocb, "%s: preadv at %lld", what, offsets[i]);
		io_prep_pwrite(&iocb, fd, NULL, 0, offsets[i]);
		tell_outcome(ctx, &iocb, "%s: pwrite of 0 bytes at %lld", what, offsets[i]);
		io_prep_pread(&iocb, fd, NULL, 0, offsets[i]);
		tell_outcome(ctx, &iocb, "%s: pread of 0 bytes at %lld", what, offsets[i]);
		io_prep_pread(&iocb, fd, buffer, 1, offsets[i]);
		tell_outcome(ctx, &iocb, "%s: pread of 1 byte at %lld", what, offsets[i]);
	}
	io_prep_preadv(&iocb, fd, NULL, 0, 0);
	tell_outcome(ctx, &iocb, "%s: preadv of no buffers", what);
	io_prep_pread(&iocb, fd, NULL, 8, 0);
	tell_outcome(ctx, &iocb, "%s: pread into NULL", what);
	io_prep_pwrite(&iocb, fd, NULL, 8, 0);
	tell_outcome(ctx, &iocb, "%s: pwrite from NULL", what);
	io_prep_fsync(&iocb, fd);
	tell_outcome(ctx, &iocb, "%s: fsync", what);
	io_prep_fdsync(&iocb, fd);
	tell_outcome(ctx, &iocb, "%s: fdsync", what);
}

#endif
