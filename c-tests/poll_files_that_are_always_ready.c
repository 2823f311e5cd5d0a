/* Description: regular files, directories and the like are always ready to read and write, and
 * cannot be waited for: a poll for anything else is refused. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4);
	const struct {
		int fd;
		const char *name;
	} files[] = {
		{ scratch("file", 0), "file" },
		{ (int)MUST(open("file", O_RDONLY)), "file, read-only" },
		{ (int)MUST(open("file", O_WRONLY)), "file, write-only" },
		{ (int)MUST(open(".", O_RDONLY | O_DIRECTORY)), "directory" },
		{ (int)MUST(memfd_create("memory", 0)), "memfd" },
		{ (int)MUST(open("/dev/null", O_RDWR)), "/dev/null" },
		{ (int)MUST(open("/dev/zero", O_RDWR)), "/dev/zero" },
		{ (int)MUST(open("/proc/self/stat", O_RDONLY)), "/proc/self/stat" },
	};
	const int ready = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	struct iocb iocb;

	for (size_t i = 0; i < COUNT(files); i++) {
		int fd = files[i].fd;
		const char *name = files[i].name;

		io_prep_poll(&iocb, fd, POLLIN);
		expect_at_once(ctx, &iocb, POLLIN, "%s, in", name);
		io_prep_poll(&iocb, fd, POLLOUT);
		expect_at_once(ctx, &iocb, POLLOUT, "%s, out", name);
		io_prep_poll(&iocb, fd, POLLWRNORM);
		expect_at_once(ctx, &iocb, POLLWRNORM, "%s, wrnorm", name);
		io_prep_poll(&iocb, fd, 0x3fff);
		expect_at_once(ctx, &iocb, ready, "%s, all", name);
		io_prep_poll(&iocb, fd, 0);
		expect_submit(ctx, &iocb, -EINVAL, "%s, nothing", name);
		io_prep_poll(&iocb, fd, POLLPRI);
		expect_submit(ctx, &iocb, -EINVAL, "%s, pri", name);
		io_prep_poll(&iocb, fd, POLLRDHUP | POLLHUP | POLLERR | POLLNVAL);
		expect_submit(ctx, &iocb, -EINVAL, "%s, hangup and error", name);
		io_prep_poll(&iocb, fd, POLLPRI | POLLIN);
		expect_at_once(ctx, &iocb, POLLIN, "%s, pri and in", name);
	}
	end_context(ctx);
	return finish();
}
