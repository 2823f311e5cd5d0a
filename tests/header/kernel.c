/*
 * Holds libaio.h against <linux/aio_abi.h>, and prints what the Rust side compares with its types:
 * "structure.member offset size", "structure size", "constant value".
 */
#include "kernel.h"

#include <stdio.h>

#include "members.h"

/* Ours may be half as wide as the kernel's: then it is the low half. */
#define AT_LOW_BYTES(type, member, kernel) \
	(OFFSET(kernel_##type, kernel) + \
	 (LITTLE_ENDIAN_MACHINE ? 0 : SIZE(kernel_##type, kernel) - SIZE(type, member)))

#define CHECK(type, member, kernel, ...) \
	_Static_assert(OFFSET(type, member) == AT_LOW_BYTES(type, member, kernel), \
		       "offset of " #type "." #member); \
	_Static_assert(SIZE(type, member) == SIZE(kernel_##type, kernel) || \
		       (SIZE(type, member) == 4 && SIZE(kernel_##type, kernel) == 8), \
		       "size of " #type "." #member);
IOCB_MEMBERS(CHECK)
EVENT_MEMBERS(CHECK)

_Static_assert(sizeof(struct iocb) == sizeof(struct kernel_iocb), "size of iocb");
_Static_assert(sizeof(struct io_event) == sizeof(struct kernel_io_event), "size of io_event");

#define COMMANDS(_) _(PREAD) _(PWRITE) _(FSYNC) _(FDSYNC) _(POLL) _(NOOP) _(PREADV) _(PWRITEV)
#define CHECK_COMMAND(name) \
	_Static_assert((int)IO_CMD_##name == (int)IOCB_CMD_##name, "IO_CMD_" #name);
COMMANDS(CHECK_COMMAND)

int main(void)
{
#define PRINT(type, member, ...) \
	printf("%s %zu %zu\n", #type "." #member, OFFSET(type, member), SIZE(type, member));
	IOCB_MEMBERS(PRINT)
	EVENT_MEMBERS(PRINT)
	OTHER_MEMBERS(PRINT)
	printf("iocb %zu\n", sizeof(struct iocb));
	printf("io_event %zu\n", sizeof(struct io_event));
#define PRINT_COMMAND(name) printf("IO_CMD_%s %d\n", #name, (int)IO_CMD_##name);
	COMMANDS(PRINT_COMMAND)
	return 0;
}
