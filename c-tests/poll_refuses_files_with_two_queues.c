/* Description: a file that has two wait queues, such as a FIFO open for both directions or a
 * terminal, is refused when it is not ready. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	int fifo, terminal = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY)), slave;
	struct iocb iocb;

	MUST(mkfifo("fifo", 0600));
	fifo = (int)MUST(open("fifo", O_RDWR));
	io_prep_poll(&iocb, fifo, POLLIN);
	expect_submit(ctx, &iocb, -EINVAL, "fifo, empty, in");
	io_prep_poll(&iocb, fifo, 0);
	expect_submit(ctx, &iocb, -EINVAL, "fifo, empty, nothing");
	io_prep_poll(&iocb, fifo, POLLOUT);
	expect_at_once(ctx, &iocb, POLLOUT, "fifo, empty, out");
	fill_up(fifo);
	io_prep_poll(&iocb, fifo, POLLOUT);
	expect_submit(ctx, &iocb, -EINVAL, "fifo, full, out");
	io_prep_poll(&iocb, fifo, POLLIN);
	expect_at_once(ctx, &iocb, POLLIN, "fifo, full, in");

	MUST(grantpt(terminal));
	MUST(unlockpt(terminal));
	slave = (int)MUST(open(ptsname(terminal), O_RDWR | O_NOCTTY));
	io_prep_poll(&iocb, terminal, POLLIN);
	expect_submit(ctx, &iocb, -EINVAL, "terminal, in");
	io_prep_poll(&iocb, slave, POLLIN);
	expect_submit(ctx, &iocb, -EINVAL, "terminal's slave, in");
	io_prep_poll(&iocb, terminal, POLLOUT);
	expect_at_once(ctx, &iocb, POLLOUT, "terminal, out");
	io_prep_poll(&iocb, slave, POLLOUT);
	expect_at_once(ctx, &iocb, POLLOUT, "terminal's slave, out");
	end_context(ctx);
	return finish();
}
