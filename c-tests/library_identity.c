/* Description: every function comes from the library under test. The suite reads the paths. */
#include "check.h"

#include <dlfcn.h>

int main(void)
{
	static const char *const names[] = {
		"io_queue_init", "io_queue_run", "io_queue_wait", "io_queue_release", "io_setup",
		"io_destroy",	 "io_submit",	 "io_cancel",	  "io_getevents",     "io_pgetevents",
	};
	io_context_t ctx = new_context(1);
	Dl_info info;

	/* Not &io_submit: in a program that is no PIE that is an address of the program itself. */
	for (size_t i = 0; i < COUNT(names); i++) {
		void *function = dlsym(RTLD_DEFAULT, names[i]);

		if (!function || !dladdr(function, &info))
			fail("%s: not found", names[i]);
		else
			fact("%s: %s", names[i], info.dli_fname);
	}
	end_context(ctx);
	return finish();
}
