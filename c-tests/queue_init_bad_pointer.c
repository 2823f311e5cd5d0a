/* only: uaio: the system's library stores through the pointer and crashes */
/* Description: io_queue_init with a bad ctxp is -EFAULT. */
#include "check.h"

int main(void)
{
	expect(io_queue_init(1, NULL), -EFAULT, "NULL");
	expect(io_queue_init(1, KERNEL_ADDRESS), -EFAULT, "kernel address");
	expect(io_queue_init(1, unmapped()), -EFAULT, "unmapped");
	expect(io_queue_init(1, pages(1, PROT_READ)), -EFAULT, "read-only");
	return finish();
}
