/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * hostile CASE
 *
 * Makes the process's environment hostile in one way, then wants all the work of smoke.h done.
 * Exit status: 0 done, 1 not done, 2 no such case, 77 this machine cannot be made hostile so.
 * Prints the file that io_submit came from. Works in the current directory.
 */
#include "hostile_kernel_aio.h"
#include "hostile_life.h"
#include "hostile_limits.h"

#include <dlfcn.h>

static const struct {
	const char *name;
	int (*run)(struct smoke *job);
} cases[] = {
#define CASE(name) { #name, name }
	CASE(nothing),
	CASE(strangers),
	CASE(no_file_descriptors),
	CASE(full_file_table),
	CASE(file_table_fills_up_later),
	CASE(file_table_full_before_the_first_request),
	CASE(few_file_descriptors),
	CASE(no_standard_files),
	CASE(no_threads),
	CASE(nobody_without_locked_memory),
	CASE(locked_memory),
	CASE(address_space_of_64_megabytes),
	CASE(no_address_space),
	CASE(small_files_only),
	CASE(chroot_without_proc),
	CASE(closed_all_descriptors),
	CASE(descriptors_replaced),
	CASE(alarms),
	CASE(all_signals_blocked),
	CASE(changed_user),
	CASE(entered_user_namespace),
	CASE(thousands_of_contexts),
	CASE(more_contexts_at_work_than_descriptors),
	CASE(forked),
	CASE(spawned),
	CASE(replaced),
	CASE(replacement),
	CASE(small_stack),
	CASE(kernel_aio_exhausted),
	CASE(kernel_aio_exhausted_later),
	CASE(thousand_contexts_with_direct_reads),
};

int main(int argc, char **argv)
{
	struct smoke job;
	Dl_info info;

	if (dladdr((void *)(uintptr_t)io_submit, &info))
		dprintf(1, "library %s\n", info.dli_fname);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name))
			return smoke_prepare(&job) ? 1 : cases[i].run(&job);
	dprintf(2, "usage: hostile CASE\n");
	return 2;
}
