/* Description: a seccomp filter that forbids io_uring to all threads, put up while requests are in
 * flight and a thread sleeps in io_getevents, costs no event; what is submitted later is done
 * too. */
#include "forbidden_in_mid_flight.h"

int main(void)
{
	static const struct group groups[] = {
		{ "all calls", 3, { SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register } },
		{ "io_uring_enter", 1, { SYS_io_uring_enter } },
	};

	return run_groups(groups, COUNT(groups));
}
