/* The kernel's header and ours side by side: the kernel's structures get names of their own. */
#define iocb kernel_iocb
#define io_event kernel_io_event
#include <linux/aio_abi.h>
#undef iocb
#undef io_event
#include "libaio.h"
