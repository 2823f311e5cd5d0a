/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Prints, for every function of libaio in every version and for `syscall`, the file that it is
 * found in: those that the program is linked to, and the others as dlvsym() finds them.
 */
#include <dlfcn.h>
#include <libaio.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static int missing;

static void print_file(const char *name, const char *version, void *address)
{
	Dl_info info;

	if (!address || !dladdr(address, &info)) {
		fprintf(stderr, "%s@%s: not found\n", name, version);
		missing = 1;
		return;
	}
	printf("%s@%s %s\n", name, version, info.dli_fname);
}

#define LINKED(function, version) print_file(#function, version, (void *)(uintptr_t)function)
#define LOOKED_UP(name, version) print_file(name, version, dlvsym(RTLD_DEFAULT, name, version))

int main(void)
{
	LINKED(syscall, "");
	LINKED(io_queue_init, "LIBAIO_0.1");
	LINKED(io_queue_run, "LIBAIO_0.1");
	LINKED(io_queue_release, "LIBAIO_0.1");
	LINKED(io_submit, "LIBAIO_0.1");
	LINKED(io_setup, "LIBAIO_0.4");
	LINKED(io_destroy, "LIBAIO_0.4");
	LINKED(io_cancel, "LIBAIO_0.4");
	LINKED(io_getevents, "LIBAIO_0.4");
	LINKED(io_queue_wait, "LIBAIO_0.4");
	LINKED(io_pgetevents, "LIBAIO_0.5");
	LOOKED_UP("io_cancel", "LIBAIO_0.1");
	LOOKED_UP("io_getevents", "LIBAIO_0.1");
	LOOKED_UP("io_queue_wait", "LIBAIO_0.1");
	return missing;
}
