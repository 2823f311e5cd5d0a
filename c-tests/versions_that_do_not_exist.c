/* Description: each function has its versions and no other. */
#include "check.h"

#include <dlfcn.h>

int main(void)
{
	static const char *const names[] = {
		"io_queue_init", "io_queue_run", "io_queue_wait", "io_queue_release", "io_setup",
		"io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents",
	};
	static const char *const versions[] = {
		"LIBAIO_0.1", "LIBAIO_0.4", "LIBAIO_0.5", "LIBAIO_0.6",
	};
	void *getevents, *cancel;

	/* A function that the program uses: linkers may drop a library of which it uses none. */
	CHECK(io_destroy(NULL) == -EINVAL);
	for (size_t i = 0; i < COUNT(names); i++) {
		for (size_t j = 0; j < COUNT(versions); j++)
			fact("%s@%s: %s", names[i], versions[j],
			     dlvsym(RTLD_DEFAULT, names[i], versions[j]) ? "found" : "none");
	}
	CHECK(dlvsym(RTLD_DEFAULT, "io_submit", "LIBAIO_0.4") == NULL);
	CHECK(dlvsym(RTLD_DEFAULT, "io_setup", "LIBAIO_0.1") == NULL);
	CHECK(dlvsym(RTLD_DEFAULT, "io_queue_init", "LIBAIO_0.4") == NULL);
	CHECK(dlvsym(RTLD_DEFAULT, "io_pgetevents", "LIBAIO_0.4") == NULL);
	/* Without a version: the newest one. */
	getevents = dlsym(RTLD_DEFAULT, "io_getevents");
	cancel = dlsym(RTLD_DEFAULT, "io_cancel");
	CHECK(getevents == dlvsym(RTLD_DEFAULT, "io_getevents", "LIBAIO_0.4"));
	CHECK(getevents != dlvsym(RTLD_DEFAULT, "io_getevents", "LIBAIO_0.1"));
	CHECK(cancel == dlvsym(RTLD_DEFAULT, "io_cancel", "LIBAIO_0.4"));
	CHECK(cancel != dlvsym(RTLD_DEFAULT, "io_cancel", "LIBAIO_0.1"));
	return finish();
}
