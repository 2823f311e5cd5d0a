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

static long number_in(const char *path)
{
	FILE *file = fopen(path, "r");
	long number = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

int main(void)
{
	const char *subject = getenv("C_TEST_ON");
	bool is_kernels = subject && !strcmp(subject, "system");
	long end = now_ms() + 20000, most = 65536, used;
	int error;

	if (number_in("/proc/sys/fs/aio-max-nr") != 65536)
		skip("fs.aio-max-nr is not at its default");

	/* The kernel's limit is shared, and other tests hold contexts: what is left is the most then. */
	while ((error = try_setup((int)most)) == -EAGAIN && is_kernels && now_ms() < end) {
		used = number_in("/proc/sys/fs/aio-nr");
		most = 65536 - (used < 0 ? 0 : used);
		sleep_ms(1);
	}
	CHECK(most > 65536 / 2);
	expect(error, 0, "io_setup(65536)");
	expect(try_setup(65537), -EAGAIN, "io_setup(65537)");
	expect(try_setup(1000000), -EAGAIN, "io_setup(1000000)");
	return finish();
}
