/* Description: terminals are read by lines and written at any offset. */
#include "all_operations.h"

#include <termios.h>

int main(void)
{
	io_context_t ctx = new_context(16);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), slave;
	struct termios settings;
	struct pollfd ready;
	struct iocb iocb;
	char buffer[16];

	if (master == -1)
		skip("no pseudo-terminals: %s", strerror(errno));
	MUST(grantpt(master));
	MUST(unlockpt(master));
	slave = MUST(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
	MUST(tcgetattr(slave, &settings));
	settings.c_lflag &= ~(tcflag_t)ECHO;
	settings.c_oflag &= ~(tcflag_t)OPOST;
	MUST(tcsetattr(slave, TCSANOW, &settings));

	io_prep_pread(&iocb, slave, buffer, 16, 0);
	expect_at_once(ctx, &iocb, -EAGAIN, "read of no line");
	io_prep_pwrite(&iocb, master, "one\ntwo\n", 8, 100);
	expect_at_once(ctx, &iocb, 8, "write of two lines");
	/* The line discipline moves them in the background. */
	ready = (struct pollfd){ slave, POLLIN, 0 };
	MUST(poll(&ready, 1, 10000));
	io_prep_pread(&iocb, slave, buffer, 16, 7);
	expect_at_once(ctx, &iocb, 4, "read of a line");
	CHECK(memcmp(buffer, "one\n", 4) == 0);
	io_prep_pread(&iocb, slave, buffer, 2, 0);
	expect_at_once(ctx, &iocb, 2, "read of two bytes");
	CHECK(memcmp(buffer, "tw", 2) == 0);
	MUST(read(slave, buffer, 16));

	io_prep_pwrite(&iocb, slave, "reply", 5, 0);
	expect_at_once(ctx, &iocb, 5, "write to the terminal");
	ready = (struct pollfd){ master, POLLIN, 0 };
	MUST(poll(&ready, 1, 10000));
	io_prep_pread(&iocb, master, buffer, 16, 0);
	expect_at_once(ctx, &iocb, 5, "read of the other side");
	io_prep_fsync(&iocb, slave);
	expect_submit(ctx, &iocb, -EINVAL, "fsync");
	io_prep_pread(&iocb, master, buffer, 16, -1);
	expect_submit(ctx, &iocb, -EINVAL, "read at -1");

	MUST(close(slave));
	io_prep_pread(&iocb, master, buffer, 16, 0);
	expect_at_once(ctx, &iocb, -EIO, "read when the terminal is gone");
	end_context(ctx);
	return finish();
}
