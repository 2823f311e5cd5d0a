/* Description: flags that the file does not have are refused even if there are no bytes to move. */
#include "check.h"

#include <sys/socket.h>

static io_context_t ctx;
static char buffer[8];
/* What is told: all four, or writes only. */
static size_t step = 1;

static void tell(int fd, unsigned flags, const char *file, const char *name)
{
	static const short opcodes[] = { IO_CMD_PREAD, IO_CMD_PWRITE, IO_CMD_PREADV,
					 IO_CMD_PWRITEV };
	static const char *const names[] = { "pread", "pwrite", "preadv", "pwritev" };
	struct iovec empty[2] = { { buffer, 0 }, { NULL, 0 } };

	for (size_t i = step - 1; i < COUNT(opcodes); i += step) {
		struct iocb iocb;

		memset(&iocb, 0, sizeof(iocb));
		iocb.aio_lio_opcode = opcodes[i];
		iocb.aio_fildes = fd;
		iocb.aio_rw_flags = (int)flags;
		iocb.u.c.buf = i < 2 ? (void *)buffer : empty;
		iocb.u.c.nbytes = i < 2 ? 0 : COUNT(empty);
		tell_outcome(ctx, &iocb, "%s, %s, %s", file, name, names[i]);
	}
}

static void tell_stream(int fd, const char *file)
{
	tell(fd, 0, file, "no flags");
	tell(fd, RWF_DSYNC, file, "RWF_DSYNC");
	tell(fd, RWF_DONTCACHE, file, "RWF_DONTCACHE");
}

static void tell_file(int fd, const char *file)
{
	static const struct {
		unsigned flags;
		const char *name;
	} sets[] = {
#define SET(set) { set, #set }
		SET(RWF_HIPRI), SET(RWF_SYNC), SET(RWF_APPEND), SET(RWF_NOAPPEND), SET(RWF_NOWAIT),
		SET(RWF_NOWAIT | RWF_APPEND), SET(RWF_NOWAIT | RWF_NOAPPEND),
		SET(RWF_NOWAIT | RWF_DONTCACHE), SET(RWF_NOWAIT | RWF_DSYNC), SET(RWF_ATOMIC),
#undef SET
	};

	tell_stream(fd, file);
	for (size_t i = 0; i < COUNT(sets); i++)
		tell(fd, sets[i].flags, file, sets[i].name);
}

int main(void)
{
	int file = scratch_filled("file", 0, 4, 'x'), append = scratch("file", O_APPEND);
	int memory = MUST(memfd_create("memory", MFD_CLOEXEC)), sockets[2];
	struct stat before, after;

	ctx = new_context(8);
	MUST(mkfifo("fifo", 0600));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets));
	MUST(fstat(file, &before));
	/* The clock of the file system has to move on before a change would be seen. */
	sleep_ms(20);
	tell_file(file, "file");
	tell_file(append, "O_APPEND");
	step = 2;
	tell_file((int)MUST(open("file", O_WRONLY | O_CLOEXEC)), "O_WRONLY");
	step = 1;
	MUST(fstat(file, &after));
	expect(after.st_size, 4, "size");
	CHECK(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
	      before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	tell_file(memory, "memfd");
	tell_stream(scratch("fifo", O_NONBLOCK), "fifo");
	tell_stream(sockets[0], "socket");
	tell_stream((int)MUST(open("/dev/null", O_RDWR | O_CLOEXEC)), "/dev/null");
	end_context(ctx);
	return finish();
}
