/* Description: io_destroy of what is no context, or no longer one, is -EINVAL. */
#include "pending.h"

int main(void)
{
	io_context_t ctx = new_context(4), other = new_context(4);

	expect(io_destroy(NULL), -EINVAL, "NULL");
	expect(io_destroy((io_context_t)-1), -EINVAL, "-1");
	expect(io_destroy((io_context_t)1), -EINVAL, "1");
	expect(io_destroy(unmapped()), -EINVAL, "unmapped");
	expect(io_destroy(pages(1, PROT_READ)), -EINVAL, "a page of zeros");
	expect(io_destroy((io_context_t)((char *)ctx + 32)), -EINVAL, "inside a context");
	expect(io_destroy(ctx), 0, "a context");
	expect(io_destroy(ctx), -EINVAL, "again");
	expect(io_queue_release(ctx), -EINVAL, "io_queue_release of it");
	expect(io_queue_release(other), 0, "io_queue_release of another");
	expect(io_destroy(other), -EINVAL, "io_destroy of that");
	return finish();
}
