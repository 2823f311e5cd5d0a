/* Description: an io_setup that cannot store its result leaves no context behind. */
#include "check.h"

int main(void)
{
	io_context_t *read_only = pages(1, PROT_READ);
	io_context_t ctx;

	/* Three times 30000 are more than fs.aio-max-nr has by default. */
	for (int i = 0; i < 3; i++) {
		int error = io_setup(30000, read_only);
		long end = now_ms() + 15000;

		while (error == -EAGAIN && now_ms() < end) {
			sleep_ms(10);
			error = io_setup(30000, read_only);
		}
		expect(error, -EFAULT, "read-only page");
	}
	ctx = new_context(1);
	end_context(ctx);
	return finish();
}
