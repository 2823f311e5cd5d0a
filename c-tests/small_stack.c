/* Description: all calls work on a stack of 16 KiB. */
#include "pending.h"

#define STACK (16 * 1024ul)

enum { SETUP, SUBMIT, NONE_TAKEN, FIRST, CANCEL, CANCELLED, PGETEVENTS, RUN, DESTROY, CALLS };

static long results[CALLS];
static struct iocb iocbs[6], *list[6];
static struct io_event events[8];
static struct channel channel;
static int direct, file, resfd;
static char *buffer;

/* Only calls of the library here: the C library's own need more room. */
static void *body(void *argument)
{
	static struct timespec zero, long_while = { 10, 0 }, short_while = { 0, 1000000 };
	static sigset_t mask;
	io_context_t ctx = 0;

	(void)argument;
	results[SETUP] = io_setup(8, &ctx);
	results[SUBMIT] = io_submit(ctx, 6, list);
	results[NONE_TAKEN] = io_getevents(ctx, 0, 0, events, &zero);
	results[FIRST] = io_getevents(ctx, 4, 4, events, &long_while);
	results[CANCEL] = io_cancel(ctx, &iocbs[4], events);
	results[CANCELLED] = io_getevents(ctx, 1, 1, events, &long_while);
	results[PGETEVENTS] = io_pgetevents(ctx, 1, 1, events, &short_while, &mask);
	results[RUN] = io_queue_run(ctx);
	results[DESTROY] = io_destroy(ctx);
	return NULL;
}

int main(void)
{
	char *stack = pages(1 + STACK / PAGE, PROT_READ | PROT_WRITE);
	pthread_attr_t attributes;
	pthread_t thread;

	direct = scratch_direct("direct", PAGE, 'd');
	file = scratch_filled("file", 0, PAGE, 'f');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	channel = new_pipe();
	buffer = pages(2, PROT_READ | PROT_WRITE);
	io_prep_pread(&iocbs[0], direct, buffer, PAGE, 0);
	io_prep_pread(&iocbs[1], file, buffer + PAGE, PAGE, 0);
	io_prep_fsync(&iocbs[2], file);
	io_prep_poll(&iocbs[3], channel.out, POLLOUT);
	io_prep_poll(&iocbs[4], channel.in, POLLIN);
	io_prep_poll(&iocbs[5], channel.in, POLLIN);
	io_set_eventfd(&iocbs[5], resfd);
	for (int i = 0; i < 6; i++)
		list[i] = &iocbs[i];

	/* What overflows meets an unmapped page. */
	MUST(mprotect(stack, PAGE, PROT_NONE));
	pthread_attr_init(&attributes);
	errno = pthread_attr_setstack(&attributes, stack + PAGE, STACK);
	if (errno)
		skip("no stack of 16 KiB: %s", strerror(errno));
	errno = pthread_create(&thread, &attributes, body, NULL);
	if (errno)
		skip("no thread with a stack of 16 KiB: %s", strerror(errno));
	join(thread);
	expect(results[SETUP], 0, "io_setup");
	expect(results[SUBMIT], 6, "io_submit");
	expect(results[NONE_TAKEN], 0, "io_getevents of nothing");
	expect(results[FIRST], 4, "io_getevents");
	expect(results[CANCEL], -EINPROGRESS, "io_cancel");
	expect(results[CANCELLED], 1, "io_getevents, the cancelled poll");
	expect(results[PGETEVENTS], 0, "io_pgetevents");
	expect(results[RUN], 0, "io_queue_run");
	expect(results[DESTROY], 0, "io_destroy");
	CHECK(filled_with(buffer, 'd', PAGE) && filled_with(buffer + PAGE, 'f', PAGE));
	return finish();
}
