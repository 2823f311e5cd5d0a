/* only: uaio: a setting of this library */
/* Description: with UAIO_SYSCALL=off, syscall() goes to the kernel, which knows none of our
 * contexts. */
#include "pending.h"

int main(int count, char **arguments)
{
	char *again[] = { arguments[0], "again", NULL };
	struct timespec zero = { 0, 0 };
	struct io_event event;
	io_context_t ctx;
	struct iocb iocb;
	long got;

	if (count == 1) {
		MUST(setenv("UAIO_SYSCALL", "off", 1));
		execv("/proc/self/exe", again);
		die("execv");
	}
	ctx = new_context(4);
	io_prep_poll(&iocb, new_pipe().out, POLLOUT);
	submit_accepted(ctx, &iocb);
	got = syscall(SYS_io_getevents, ctx, 1l, 1l, &event, &zero);
	CHECK(got == -1 && (errno == EINVAL || errno == ENOSYS || errno == EPERM));
	expect(reap_event_of(ctx, &iocb), POLLOUT, "its event, by the library");
	expect(syscall(SYS_getpid) == getpid(), 1, "getpid");
	end_context(ctx);
	return finish();
}
