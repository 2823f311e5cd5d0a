/* only: uaio: it forbids what the system's libaio lives by */
/* timeout: 60 */
/* Description: a seccomp filter that forbids the kernel's AIO to all threads, or some of its calls, or
 * io_uring as well, put up while requests are in flight and a thread sleeps in io_getevents, costs no
 * event; what is submitted later is done too. */
#include "forbidden_in_mid_flight.h"

#ifndef SYS_io_pgetevents
#define SYS_io_pgetevents 333
#endif
#define KERNEL_AIO                                                                                 \
	SYS_io_setup, SYS_io_submit, SYS_io_getevents, SYS_io_pgetevents, SYS_io_cancel, SYS_io_destroy

int main(void)
{
	static const struct group groups[] = {
		{ "kernel AIO", 6, { KERNEL_AIO } },
		{ "kernel AIO and io_uring", 9,
		  { KERNEL_AIO, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register } },
		{ "io_setup", 1, { SYS_io_setup } },
		{ "io_submit", 1, { SYS_io_submit } },
		{ "io_getevents", 2, { SYS_io_getevents, SYS_io_pgetevents } },
		{ "io_destroy and io_cancel", 2, { SYS_io_destroy, SYS_io_cancel } },
	};

	return run_groups(groups, COUNT(groups));
}
