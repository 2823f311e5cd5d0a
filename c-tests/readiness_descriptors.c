/* Description: epoll, inotify, pidfd and the like have no AIO reads, and are refused at submit. */
#include "all_operations.h"

#include <sys/epoll.h>
#include <sys/inotify.h>

int main(void)
{
	io_context_t ctx = new_context(16);
	int epoll = MUST(epoll_create1(EPOLL_CLOEXEC));
	int notify = MUST(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iocb iocb;
	char buffer[4096];

	io_prep_pread(&iocb, epoll, buffer, sizeof(buffer), 0);
	expect_submit(ctx, &iocb, -EINVAL, "epoll: read");
	io_prep_pread(&iocb, notify, buffer, sizeof(buffer), 0);
	expect_submit(ctx, &iocb, -EINVAL, "inotify: read");
	tell_all_operations(ctx, epoll, "epoll");
	tell_all_operations(ctx, notify, "inotify");
	MUST(inotify_add_watch(notify, ".", IN_CREATE));
	close(scratch("file", 0));
	tell_all_operations(ctx, notify, "inotify with an event");
	if (process != -1)
		tell_all_operations(ctx, process, "pidfd");
	end_context(ctx);
	return finish();
}
