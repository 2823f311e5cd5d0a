/* Description: 65536 events are the most that one context can ask for, as fs.aio-max-nr has it. */
#include "check.h"

static int try_setup(int nr)
{
	io_context_t ctx = 0;
	int error = io_setup(nr, &ctx);

	if (error == 0)
		end_context(ctx);
	return error;
}

int main(void)
{
	long end = now_ms() + 20000;
	FILE *file = fopen("/proc/sys/fs/aio-max-nr", "r");
	long limit = 0;
	int error;

	if (!file || fscanf(file, "%ld", &limit) != 1 || limit != 65536)
		skip("fs.aio-max-nr is not at its default");

	/* The kernel's limit is shared: other tests may hold contexts for a moment. */
	while ((error = try_setup(65536)) == -EAGAIN && now_ms() < end)
		sleep_ms(10);
	expect(error, 0, "io_setup(65536)");
	expect(try_setup(65537), -EAGAIN, "io_setup(65537)");
	expect(try_setup(1000000), -EAGAIN, "io_setup(1000000)");
	return finish();
}
