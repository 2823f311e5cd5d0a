/*
 * Description: eventfd, timerfd and signalfd can be read, at any offset, into eight bytes or
 * more.
 */
#include "all_operations.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>

int main(void)
{
	io_context_t ctx = new_context(16);
	int counter = MUST(eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK));
	int timer = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)), signals;
	struct itimerspec soon = { .it_value = { 0, 1 } };
	struct signalfd_siginfo info;
	struct pollfd ready;
	uint64_t count = 0;
	struct iocb iocb;
	sigset_t mask;

	io_prep_pread(&iocb, counter, &count, 7, 0);
	expect_at_once(ctx, &iocb, -EINVAL, "eventfd: read of 7 bytes");
	io_prep_pread(&iocb, counter, &count, 8, 99);
	expect_at_once(ctx, &iocb, 8, "eventfd: read at 99");
	expect(count, 3, "count");
	expect_at_once(ctx, &iocb, -EAGAIN, "eventfd: read of 0");
	io_prep_pwrite(&iocb, counter, &count, 8, 0);
	expect_submit(ctx, &iocb, -EINVAL, "eventfd: write");
	int semaphore = MUST(eventfd(2, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
	io_prep_pread(&iocb, semaphore, &count, 8, 0);
	expect_at_once(ctx, &iocb, 8, "semaphore: read");
	expect(count, 1, "count");
	MUST(eventfd_write(counter, 1));
	tell_all_operations(ctx, counter, "eventfd");

	/* Readable by read_iter since Linux 6.10 only. */
	MUST(timerfd_settime(timer, 0, &soon, NULL));
	ready = (struct pollfd){ timer, POLLIN, 0 };
	MUST(poll(&ready, 1, 10000));
	io_prep_pread(&iocb, timer, &count, 8, 5);
	tell_outcome(ctx, &iocb, "timerfd: read after it fired");
	tell_all_operations(ctx, timer, "timerfd");

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	signals = MUST(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
	raise(SIGUSR1);
	io_prep_pread(&iocb, signals, &info, sizeof(info), 5);
	tell_outcome(ctx, &iocb, "signalfd: read after a signal");
	tell_all_operations(ctx, signals, "signalfd");
	end_context(ctx);
	return finish();
}
