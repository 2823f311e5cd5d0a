/* Description: RWF_NOSIGNAL writes to a broken pipe without SIGPIPE. */
#include "check.h"

#include <sys/socket.h>

int main(void)
{
	io_context_t ctx = new_context(16);
	struct iovec iov = { "x", 1 };
	struct iocb iocb;
	int pair[2];

	count_signal(SIGPIPE, 0);
	MUST(pipe2(pair, O_CLOEXEC));
	close(pair[0]);
	io_prep_pwritev2(&iocb, pair[1], &iov, 1, 0, RWF_NOSIGNAL);
	struct outcome outcome = outcome_of(ctx, &iocb);
	if (outcome.submitted == -EOPNOTSUPP)
		skip("no RWF_NOSIGNAL before Linux 6.18");
	expect(outcome.res, -EPIPE, "pipe, writev");
	io_prep_pwrite(&iocb, pair[1], "x", 1, 0);
	iocb.aio_rw_flags = RWF_NOSIGNAL;
	expect_at_once(ctx, &iocb, -EPIPE, "pipe");
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	close(pair[0]);
	io_prep_pwrite(&iocb, pair[1], "x", 1, 0);
	iocb.aio_rw_flags = RWF_NOSIGNAL;
	tell_outcome(ctx, &iocb, "socket");
	fact("signals: %d", (int)signals_seen[SIGPIPE]);
	end_context(ctx);
	return finish();
}
