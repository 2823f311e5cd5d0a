/* Description: the LIBAIO_0.1 forms: io_getevents without min_nr, which is 1, io_cancel without
 * result, io_queue_wait. */
#include "pending.h"

#include <dlfcn.h>

typedef int getevents_0_1(io_context_t, long, struct io_event *, const struct timespec *);
typedef int cancel_0_1(io_context_t, struct iocb *);
typedef int queue_wait_0_1(io_context_t, const struct timespec *);

static void *look_up(const char *name)
{
	void *function = dlvsym(RTLD_DEFAULT, name, "LIBAIO_0.1");

	if (!function) {
		fprintf(stderr, "%s@LIBAIO_0.1: not found\n", name);
		_exit(1);
	}
	return function;
}

int main(void)
{
	getevents_0_1 *getevents = (getevents_0_1 *)look_up("io_getevents");
	cancel_0_1 *cancel = (cancel_0_1 *)look_up("io_cancel");
	queue_wait_0_1 *queue_wait = (queue_wait_0_1 *)look_up("io_queue_wait");
	const struct timespec zero = { 0, 0 }, long_while = { 20, 0 };
	const struct timespec short_while = { 0, 50000000 };
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	struct io_event events[4];
	struct iocb iocbs[3];
	long begin;

	expect(getevents(ctx, 4, events, &zero), 0, "getevents, nothing there, zero");
	begin = now_ms();
	expect(getevents(ctx, 4, events, &short_while), 0,
	       "getevents, nothing there, a short while");
	CHECK(now_ms() - begin >= 49);
	expect(getevents(ctx, 0, events, &zero), 0, "getevents, nr 0, nothing there, zero");
	expect(getevents(ctx, 0, events, NULL), -EINVAL, "getevents, nr 0");
	expect(getevents(ctx, -1, events, &short_while), -EINVAL, "getevents, nr -1");
	expect(getevents(NULL, 1, events, NULL), -EINVAL, "getevents, no context");

	submit_poll(ctx, &iocbs[0], channel.in, POLLIN);
	submit_poll(ctx, &iocbs[1], channel.out, POLLOUT);
	submit_poll(ctx, &iocbs[2], channel.out, POLLOUT);
	expect(getevents(ctx, 4, events, NULL), 2, "getevents, two there");
	CHECK(event_is_for(&events[0], &iocbs[1]) && event_is_for(&events[1], &iocbs[2]));

	expect(queue_wait(ctx, NULL), 0, "queue_wait");
	expect(queue_wait(ctx, &long_while), 0, "queue_wait, a timeout");
	expect(queue_wait(NULL, &long_while), -EINVAL, "queue_wait, no context");

	expect(cancel(ctx, &iocbs[1]), -EINVAL, "cancel, done");
	expect(cancel(ctx, NULL), -EFAULT, "cancel, NULL");
	expect(cancel(ctx, &iocbs[0]), -EINPROGRESS, "cancel, pending");
	expect(getevents(ctx, 1, events, &long_while), 1, "its event");
	CHECK(event_is_for(&events[0], &iocbs[0]));
	expect(event_res(&events[0]), 0, "its res");
	expect(cancel(ctx, &iocbs[0]), -EINVAL, "cancel again");
	end_context(ctx);
	return finish();
}
