/* Description: io_setup without address space for the ring is -ENOMEM, and recovers. */
#include "check.h"

#include <sys/resource.h>

int main(void)
{
	struct rlimit limit, tight;
	io_context_t ctx = 0;

	MUST(getrlimit(RLIMIT_AS, &limit));
	tight = limit;
	tight.rlim_cur = 1 << 20;
	MUST(setrlimit(RLIMIT_AS, &tight));
	int error = io_setup(30000, &ctx);
	MUST(setrlimit(RLIMIT_AS, &limit));

	expect(error, -ENOMEM, "io_setup(30000) with RLIMIT_AS");
	CHECK(ctx == 0);
	ctx = new_context(30000);
	end_context(ctx);
	return finish();
}
