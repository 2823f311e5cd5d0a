/*
 * Description: files of /proc and /sys: some can be read, some are refused at submit, as in the
 * kernel.
 */
#include "all_operations.h"

int main(void)
{
	static const char *const paths[] = {
		"/proc/self/status", "/proc/self/cmdline",   "/proc/self/mem",
		"/proc/self/maps",   "/proc/meminfo",	     "/proc/version",
		"/proc/self/comm",   "/proc/sys/vm/swappiness", "/proc/sys/kernel/ostype",
		"/sys/kernel/mm/transparent_hugepage/enabled",
	};
	io_context_t ctx = new_context(16);
	char buffer[64], expected[64];
	struct iocb iocb;

	for (size_t i = 0; i < COUNT(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd == -1)
			continue;
		tell_all_operations(ctx, fd, paths[i]);

		close(fd);
	}

	int version = MUST(open("/proc/version", O_RDONLY | O_CLOEXEC));
	MUST(pread(version, expected, sizeof(expected), 3));
	io_prep_pread(&iocb, version, buffer, sizeof(buffer), 3);
	if (outcome_of(ctx, &iocb).submitted == 1)
		CHECK(memcmp(buffer, expected, sizeof(buffer)) == 0);

	/* Written through: the name of this process. */
	int comm = MUST(open("/proc/self/comm", O_RDWR | O_CLOEXEC));
	io_prep_pwrite(&iocb, comm, "renamed", 7, 0);
	tell_outcome(ctx, &iocb, "/proc/self/comm: pwrite");
	end_context(ctx);
	return finish();
}
