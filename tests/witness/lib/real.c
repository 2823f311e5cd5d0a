/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The functions behind the witness. */
#include "witness.h"

#include <dlfcn.h>
#include <link.h>

static struct real found;
/* Where the code of the library behind the witness is. */
static uintptr_t first_address, end_address;

static void *named(void *from, const char *name, const char *version)
{
	void *function = dlvsym(from, name, version);

	/* A stand-in for libaio may have no versions. Old forms are never found without. */
	return function || strcmp(version, "LIBAIO_0.1") == 0 ? function : dlsym(from, name);
}

/* Those that were in LIBAIO_0.1 from the beginning. */
static void *first_named(void *from, const char *name)
{
	void *function = dlvsym(from, name, "LIBAIO_0.1");

	return function ? function : dlsym(from, name);
}

static int find_range(struct dl_phdr_info *object, size_t size, void *unused)
{
	uintptr_t wanted = (uintptr_t)found.submit;

	(void)size;
	(void)unused;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t first = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || wanted < first || wanted >= first + segment->p_memsz)
			continue;
		first_address = first;
		end_address = first + segment->p_memsz;
		return 1;
	}
	return 0;
}

static void find(void)
{
	const char *file = getenv("WITNESS_LIB");
	void *from = file ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : RTLD_NEXT;

	found.read = dlsym(RTLD_NEXT, "read");
	found.write = dlsym(RTLD_NEXT, "write");
	found.close = dlsym(RTLD_NEXT, "close");
	found.eventfd = dlsym(RTLD_NEXT, "eventfd");
	found.exit = dlsym(RTLD_NEXT, "_exit");
	if (!from)
		return;
	found.queue_init = first_named(from, "io_queue_init");
	found.queue_run = first_named(from, "io_queue_run");
	found.queue_release = first_named(from, "io_queue_release");
	found.submit = first_named(from, "io_submit");
	found.queue_wait = named(from, "io_queue_wait", "LIBAIO_0.4");
	found.queue_wait_0_1 = named(from, "io_queue_wait", "LIBAIO_0.1");
	found.setup = named(from, "io_setup", "LIBAIO_0.4");
	found.destroy = named(from, "io_destroy", "LIBAIO_0.4");
	found.cancel = named(from, "io_cancel", "LIBAIO_0.4");
	found.cancel_0_1 = named(from, "io_cancel", "LIBAIO_0.1");
	found.getevents = named(from, "io_getevents", "LIBAIO_0.4");
	found.getevents_0_1 = named(from, "io_getevents", "LIBAIO_0.1");
	found.pgetevents = named(from, "io_pgetevents", "LIBAIO_0.5");
	dl_iterate_phdr(find_range, NULL);
}

bool is_library(const void *caller)
{
	return (uintptr_t)caller >= first_address && (uintptr_t)caller < end_address;
}

const struct real *real(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find);
	return &found;
}

/* Before there are signals, threads and locks held. */
__attribute__((constructor)) static void early(void)
{
	real();
}
