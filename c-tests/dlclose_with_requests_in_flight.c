/* Description: dlclose with requests in flight is safe; loaded again, the library still knows the
 * context. */
#include "check.h"

#include <dlfcn.h>

/* Nothing here may refer to the library by name: then it would be loaded from the start. */
static int (*setup)(int, io_context_t *);
static int (*destroy)(io_context_t);
static int (*submit_list)(io_context_t, long, struct iocb **);
static int (*getevents)(io_context_t, long, long, struct io_event *, struct timespec *);

static void *load(void)
{
	void *library = dlopen("libaio.so.1", RTLD_NOW);

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		_exit(1);
	}
	setup = (int (*)(int, io_context_t *))dlsym(library, "io_setup");
	destroy = (int (*)(io_context_t))dlsym(library, "io_destroy");
	submit_list = (int (*)(io_context_t, long, struct iocb **))dlsym(library, "io_submit");
	getevents = (int (*)(io_context_t, long, long, struct io_event *, struct timespec *))dlsym(
		library, "io_getevents");
	CHECK(setup && destroy && submit_list && getevents);
	return library;
}

int main(void)
{
	int direct = scratch_direct("file", PAGE, 'f');
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct timespec timeout = { 10, 0 };
	struct io_event events[4];

	for (int round = 0; round < 5; round++) {
		int ends[2], resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
		struct iocb iocbs[4], *list[4];
		io_context_t ctx = 0;
		void *library = load();

		MUST(pipe2(ends, O_CLOEXEC));
		expect(setup(8, &ctx), 0, "io_setup");
		io_prep_poll(&iocbs[0], ends[0], POLLIN);
		io_prep_poll(&iocbs[1], ends[0], POLLIN);
		io_set_eventfd(&iocbs[1], resfd);
		io_prep_pread(&iocbs[2], direct, buffer, PAGE, 0);
		io_prep_fsync(&iocbs[3], direct);
		for (int i = 0; i < 4; i++)
			list[i] = &iocbs[i];
		expect(submit_list(ctx, 4, list), 4, "io_submit");
		MUST(dlclose(library));

		/* Threads that the library has started go on, or end, meanwhile. */
		sleep_ms(round == 4 ? 1500 : 20);
		MUST(write(ends[1], "x", 1));
		library = load();
		expect(getevents(ctx, 4, 4, events, &timeout), 4, "io_getevents");
		CHECK(filled_with(buffer, 'f', PAGE));
		expect(destroy(ctx), 0, "io_destroy");
		MUST(dlclose(library));
		close(ends[0]);
		close(ends[1]);
		close(resfd);
	}
	sleep_ms(20);
	return finish();
}
