/* Description: io_getevents through syscall() has no short cut: with a zero timeout and nothing to
 * take it checks its arguments, and delivers signals. */
#include "pending.h"

/* What the kernel takes for the mask of io_pgetevents. */
struct mask_argument {
	const sigset_t *mask;
	size_t size;
};

#define MASK_SIZE 8

static io_context_t ctx;

static long getevents(io_context_t context, long min_nr, long nr, void *events, void *timeout)
{
	long got = syscall(SYS_io_getevents, context, min_nr, nr, events, timeout);

	return got == -1 ? -errno : got;
}

static long pgetevents(io_context_t context, long min_nr, void *timeout, const void *argument)
{
	struct io_event events[4];
	long got = syscall(SYS_io_pgetevents, context, min_nr, 4l, events, timeout, argument);

	return got == -1 ? -errno : got;
}

int main(void)
{
	struct timespec zero = { 0, 0 }, short_while = { 0, 1000000 };
	struct io_event events[4];
	struct mask_argument argument;
	sigset_t mask, blocked;
	struct iocb iocb;

	ctx = new_context(4);
	expect(getevents(ctx, 5, 4, events, &zero), -EINVAL, "min_nr above nr");
	expect(getevents(ctx, -1, 4, events, &zero), -EINVAL, "min_nr -1");
	expect(getevents(ctx, 0, -1, events, &zero), -EINVAL, "nr -1");
	expect(getevents(ctx, 4, 4, NULL, &zero), 0, "no events pointer");
	expect(getevents(ctx, 1, 4, KERNEL_ADDRESS, &zero), 0, "bad events pointer");
	expect(getevents(ctx, 1, 4, events, KERNEL_ADDRESS), -EFAULT, "bad timeout");
	expect(getevents(ctx, 1, 4, events, unmapped()), -EFAULT, "unmapped timeout");
	expect(getevents(ctx, 1, 4, events, at_edge(8)), -EFAULT, "half a timeout");
	expect(getevents(NULL, 1, 4, events, unmapped()), -EFAULT, "unmapped timeout, no context");
	expect(getevents(unmapped(), 1, 4, events, &zero), -EINVAL, "unmapped context");
	expect(getevents(unmapped(), 5, 4, events, NULL), -EINVAL, "unmapped context, bad range");
	io_prep_poll(&iocb, new_pipe().out, POLLOUT);
	submit_accepted(ctx, &iocb);
	expect(getevents(ctx, 1, 4, unmapped(), &zero), -EFAULT,
	       "unmapped events pointer, one there");
	expect(getevents(ctx, 1, 4, events, &zero), 1, "one there");

	sigemptyset(&mask);
	argument = (struct mask_argument){ &mask, MASK_SIZE };
	expect(pgetevents(ctx, 1, &zero, &argument), 0, "a mask");
	argument.size = 4;
	expect(pgetevents(ctx, 1, &zero, &argument), -EINVAL, "size 4");
	expect(pgetevents(NULL, 5, unmapped(), &argument), -EFAULT, "size 4, unmapped timeout");
	argument.size = sizeof(sigset_t);
	expect(pgetevents(ctx, 1, &zero, &argument), -EINVAL, "size of sigset_t");
	argument = (struct mask_argument){ unmapped(), MASK_SIZE };
	expect(pgetevents(ctx, 1, &zero, &argument), -EFAULT, "unmapped mask");
	expect(pgetevents(NULL, 1, &zero, &argument), -EFAULT, "unmapped mask, no context");
	argument.size = 3;
	expect(pgetevents(NULL, 1, &zero, &argument), -EINVAL, "unmapped mask, size 3");
	argument = (struct mask_argument){ NULL, 3 };
	expect(pgetevents(ctx, 1, &zero, &argument), 0, "no mask, size 3");
	expect(pgetevents(ctx, 1, &zero, NULL), 0, "no argument");
	expect(pgetevents(ctx, 1, &zero, unmapped()), -EFAULT, "unmapped argument");
	expect(pgetevents(NULL, 1, &short_while, KERNEL_ADDRESS), -EFAULT,
	       "bad argument, no context");
	expect(pgetevents(ctx, 5, &zero, NULL), -EINVAL, "min_nr above nr");

	count_signal(SIGUSR1, SA_RESTART);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &blocked, NULL));
	raise(SIGUSR1);
	argument = (struct mask_argument){ &mask, MASK_SIZE };
	expect(pgetevents(ctx, 1, &zero, NULL), 0, "blocked signal pending");
	expect(signals_seen[SIGUSR1], 0, "handlers run");
	expect(pgetevents(ctx, 1, &zero, &argument), -EINTR, "blocked signal let through");
	expect(signals_seen[SIGUSR1], 1, "handlers run");
	end_context(ctx);
	return finish();
}
