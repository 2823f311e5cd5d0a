/* Description: the calls made through syscall() return -1 and set errno where the library returns
 * an error, and work on the same contexts. */
#include "pending.h"

static long failed(long got)
{
	return got == -1 ? -errno : got;
}

/* errno is set on failure and left alone on success. */
#define RAW(...)                                                               \
	({                                                                     \
		long raw_value;                                                \
		errno = 1234;                                                  \
		raw_value = syscall(__VA_ARGS__);                              \
		CHECK((raw_value == -1) == (errno != 1234));                   \
		failed(raw_value);                                             \
	})

int main(void)
{
	io_context_t ctx = 0, made_by_library = new_context(4), refused = 0;
	struct timespec zero = { 0, 0 }, short_while = { 0, 1000000 };
	struct channel channel = new_pipe();
	struct io_event events[4], result;
	struct iocb iocbs[2], *list[2] = { &iocbs[0], &iocbs[1] };
	int file = scratch("file", 0);

	expect(RAW(SYS_io_setup, 0, &refused), -EINVAL, "io_setup of 0");
	expect(RAW(SYS_io_setup, 4, NULL), -EFAULT, "io_setup to NULL");
	expect(RAW(SYS_io_setup, -1, &refused), -EINVAL, "io_setup of -1");
	expect(RAW(SYS_io_setup, 4, &made_by_library), -EINVAL, "io_setup over a context");
	/* The number of events is an unsigned int. */
	expect(RAW(SYS_io_setup, 0x100000004ul, &ctx), 0, "io_setup of 2^32 + 4");
	CHECK(ctx != NULL);

	io_prep_pwrite(&iocbs[0], file, "x", 1, 0);
	io_prep_poll(&iocbs[1], channel.in, POLLIN);
	expect(RAW(SYS_io_submit, ctx, 2l, list), 2, "io_submit");
	expect(RAW(SYS_io_submit, ctx, -1l, list), -EINVAL, "io_submit of -1");
	expect(RAW(SYS_io_submit, ctx, 0l, NULL), 0, "io_submit of nothing");
	expect(RAW(SYS_io_submit, ctx, 1l, NULL), -EFAULT, "io_submit of NULL");
	expect(RAW(SYS_io_submit, NULL, 1l, list), -EINVAL, "io_submit, no context");
	iocbs[0].aio_fildes = -1;
	expect(RAW(SYS_io_submit, ctx, 1l, list), -EBADF, "io_submit, closed file");
	iocbs[0].aio_fildes = file;

	expect(RAW(SYS_io_getevents, ctx, 1l, 4l, events, NULL), 1, "io_getevents");
	CHECK(event_is_for(&events[0], &iocbs[0]));
	expect(RAW(SYS_io_getevents, ctx, 1l, 4l, events, &zero), 0, "io_getevents, zero timeout");
	expect(RAW(SYS_io_getevents, ctx, 1l, 4l, events, &short_while), 0, "io_getevents, 1 ms");
	expect(RAW(SYS_io_getevents, NULL, 1l, 4l, events, NULL), -EINVAL,
	       "io_getevents, no context");
	expect(RAW(SYS_io_getevents, (void *)-1l, 1l, 4l, events, NULL), -EINVAL,
	       "io_getevents, context -1");
	expect(RAW(SYS_io_pgetevents, ctx, 1l, 4l, events, &zero, NULL), 0, "io_pgetevents");

	expect(RAW(SYS_io_cancel, ctx, NULL, &result), -EFAULT, "io_cancel of NULL");
	expect(RAW(SYS_io_cancel, ctx, &iocbs[0], &result), -EINVAL, "io_cancel of what is done");
	expect(RAW(SYS_io_cancel, ctx, &iocbs[1], &result), -EINPROGRESS, "io_cancel");
	expect(RAW(SYS_io_getevents, ctx, 1l, 4l, events, NULL), 1, "its event");
	CHECK(event_is_for(&events[0], &iocbs[1]) && event_res(&events[0]) == 0);

	/* The library and syscall() see the same contexts. */
	expect(submit(ctx, &iocbs[0]), 1, "submitted by the library");
	expect(RAW(SYS_io_getevents, ctx, 1l, 1l, events, NULL), 1, "taken through syscall()");
	expect(RAW(SYS_io_submit, made_by_library, 1l, list), 1, "submitted through syscall()");
	expect(reap(made_by_library, 1, 1, events), 1, "taken by the library");
	expect(RAW(SYS_io_destroy, made_by_library), 0, "io_destroy of the library's");
	expect(io_destroy(made_by_library), -EINVAL, "and again by the library");
	expect(io_destroy(ctx), 0, "io_destroy by the library");
	expect(RAW(SYS_io_destroy, ctx), -EINVAL, "and again through syscall()");
	expect(RAW(SYS_io_destroy, NULL), -EINVAL, "io_destroy of NULL");
	return finish();
}
