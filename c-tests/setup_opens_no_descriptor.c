/* Description: setting up a context takes no descriptor and no thread. */
#include "check.h"

#include <sys/resource.h>

int main(void)
{
	int fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
	struct rlimit limit, none;
	io_context_t ctx[20] = { 0 };
	int errors = 0;

	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 0;
	MUST(setrlimit(RLIMIT_NOFILE, &none));
	for (size_t i = 0; i < COUNT(ctx); i++)
		errors += io_setup(16, &ctx[i]) != 0;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));

	expect(errors, 0, "contexts refused with RLIMIT_NOFILE 0");
	expect(entries("/proc/self/fd") - fds, 0, "descriptors");
	expect(entries("/proc/self/task") - threads, 0, "threads");
	for (size_t i = 0; i < COUNT(ctx); i++)
		if (ctx[i])
			end_context(ctx[i]);
	return finish();
}
