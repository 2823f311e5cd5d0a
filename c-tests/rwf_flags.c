/* Description: RWF flags are checked at submit, against the file; unknown ones are -EOPNOTSUPP. */
#include "check.h"

int main(void)
{
	static const unsigned known[] = { RWF_HIPRI,  RWF_DSYNC,    RWF_SYNC,	RWF_NOWAIT,
					  RWF_APPEND, RWF_NOAPPEND, RWF_ATOMIC, RWF_DONTCACHE,
					  RWF_NOSIGNAL };
	static const unsigned harmless[] = { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_HIPRI | RWF_DSYNC };
	io_context_t ctx = new_context(16);
	int direct = scratch_direct("direct", PAGE, 'd');
	char *page = pages(1, PROT_READ | PROT_WRITE);
	int file = scratch_filled("file", 0, 4096, 'x'), pair[2];
	int memory = MUST(memfd_create("memory", MFD_CLOEXEC));
	int null = MUST(open("/dev/null", O_RDWR | O_CLOEXEC));
	struct iocb iocb;
	char byte = 'y';

	MUST(pipe2(pair, O_CLOEXEC));
	MUST(ftruncate(memory, 100));

	/* Newer kernels know more flags, so this depends on the kernel. */
	for (unsigned bit = 0; bit < 32; bit++) {
		io_prep_pread(&iocb, file, &byte, 1, 0);
		iocb.aio_rw_flags = 1u << bit;
		tell_outcome(ctx, &iocb, "pread of a file, flag %x", 1u << bit);
		io_prep_pwrite(&iocb, file, &byte, 1, 0);
		iocb.aio_rw_flags = 1u << bit;
		tell_outcome(ctx, &iocb, "pwrite of a file, flag %x", 1u << bit);
	}
	for (size_t i = 0; i < COUNT(known); i++) {
		io_prep_pread(&iocb, memory, &byte, 1, 0);
		iocb.aio_rw_flags = known[i];
		tell_outcome(ctx, &iocb, "pread of a memfd, flag %x", known[i]);
		io_prep_pwrite(&iocb, memory, &byte, 1, 0);
		iocb.aio_rw_flags = known[i];
		tell_outcome(ctx, &iocb, "pwrite of a memfd, flag %x", known[i]);
		io_prep_pwrite(&iocb, null, &byte, 1, 0);
		iocb.aio_rw_flags = known[i];
		tell_outcome(ctx, &iocb, "pwrite of /dev/null, flag %x", known[i]);
		io_prep_pwrite(&iocb, pair[1], &byte, 1, 0);
		iocb.aio_rw_flags = known[i];
		tell_outcome(ctx, &iocb, "pwrite of a pipe, flag %x", known[i]);
		MUST(write(pair[1], "z", 1));
		io_prep_pread(&iocb, pair[0], &byte, 1, 0);
		iocb.aio_rw_flags = known[i];
		tell_outcome(ctx, &iocb, "pread of a pipe, flag %x", known[i]);
	}

	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.aio_rw_flags = 0x80000000;
	expect_submit(ctx, &iocb, -EOPNOTSUPP, "the top bit");
	iocb.aio_rw_flags = 0xffffffff;
	expect_submit(ctx, &iocb, -EOPNOTSUPP, "all bits");
	iocb.aio_rw_flags = RWF_HIPRI | 0x40000000;
	expect_submit(ctx, &iocb, -EOPNOTSUPP, "a known and an unknown bit");
	iocb.aio_rw_flags = RWF_HIPRI;
	expect_result(ctx, &iocb, 1, "RWF_HIPRI of a buffered read");
	iocb.aio_rw_flags = RWF_DSYNC | RWF_SYNC;
	expect_result(ctx, &iocb, 1, "RWF_SYNC of a read");
	iocb.aio_rw_flags = RWF_APPEND | RWF_NOAPPEND;
	tell_outcome(ctx, &iocb, "RWF_APPEND | RWF_NOAPPEND");

	/* Direct I/O: nobody polls for it, whatever it says. */
	for (size_t i = 0; i < COUNT(harmless); i++) {
		io_prep_pread(&iocb, direct, page, PAGE, 0);
		iocb.aio_rw_flags = harmless[i];
		expect_result(ctx, &iocb, PAGE, "direct read, flags %x", harmless[i]);
		io_prep_pwrite(&iocb, direct, page, PAGE, 0);
		iocb.aio_rw_flags = harmless[i];
		expect_result(ctx, &iocb, PAGE, "direct write, flags %x", harmless[i]);
	}

	/* fsync and poll take none. */
	for (int opcode = IO_CMD_FSYNC; opcode <= IO_CMD_FDSYNC; opcode++) {
		io_prep_fsync(&iocb, file);
		iocb.aio_lio_opcode = (short)opcode;
		iocb.aio_rw_flags = RWF_DSYNC;
		expect_submit(ctx, &iocb, -EINVAL, "opcode %d with RWF_DSYNC", opcode);
	}
	io_prep_poll(&iocb, file, POLLIN);
	iocb.aio_rw_flags = RWF_NOWAIT;
	expect_submit(ctx, &iocb, -EINVAL, "poll with RWF_NOWAIT");
	end_context(ctx);
	return finish();
}
