/* Description: elements of the array are read one by one: those before a hole are submitted. */
#include "check.h"

int main(void)
{
	io_context_t ctx = new_context(32);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb good;
	char byte;

	io_prep_pread(&good, file, &byte, 1, 0);
	for (int mapped = 0; mapped <= 3; mapped++) {
		struct iocb **array = (struct iocb **)at_edge(mapped * sizeof(*array));

		for (int i = 0; i < mapped; i++)
			array[i] = &good;
		expect(io_submit(ctx, mapped, array), mapped, "%d of %d", mapped, mapped);
		expect(in_ring(ctx), mapped, "events");
		drain(ctx);
		expect(io_submit(ctx, mapped + 1, array), mapped ? mapped : -EFAULT,
		       "%d asked, %d mapped", mapped + 1, mapped);
		expect(in_ring(ctx), mapped, "events");
		drain(ctx);
		expect(io_submit(ctx, 5000, array), mapped ? mapped : -EFAULT,
		       "5000 asked, %d mapped", mapped);
		expect(in_ring(ctx), mapped, "events");
		drain(ctx);
		expect(io_submit(ctx, __LONG_MAX__, array), mapped ? mapped : -EFAULT,
		       "LONG_MAX asked, %d mapped", mapped);
		expect(in_ring(ctx), mapped, "events");
		drain(ctx);
	}
	end_context(ctx);
	return finish();
}
