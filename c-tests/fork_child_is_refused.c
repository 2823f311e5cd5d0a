/* Description: a forked child has none of its parent's contexts: every call is -EINVAL, except that
 * looking for events that are not there finds none. Its own contexts work, and so on for its
 * children. */
#include "pending.h"

static void refused(io_context_t ctx, struct iocb *pending, const char *who)
{
	struct timespec zero = { 0, 0 }, short_while = { 0, 1000000 };
	struct io_event event;
	struct iocb iocb, *list[] = { &iocb };

	io_prep_poll(&iocb, (int)MUST(eventfd(0, 0)), POLLIN);
	expect(io_submit(ctx, 1, list), -EINVAL, "%s: io_submit", who);
	expect(io_submit(ctx, 0, list), -EINVAL, "%s: io_submit of nothing", who);
	expect(io_cancel(ctx, pending, &event), -EINVAL, "%s: io_cancel", who);
	expect(io_getevents(ctx, 1, 1, &event, &zero), 0, "%s: io_getevents, zero timeout", who);
	expect(io_getevents(ctx, 1, 1, &event, NULL), -EINVAL, "%s: io_getevents, no timeout", who);
	expect(io_getevents(ctx, 0, 1, &event, &short_while), -EINVAL,
	       "%s: io_getevents, 1 ms", who);
	expect(io_pgetevents(ctx, 1, 1, &event, &zero, NULL), 0, "%s: io_pgetevents, zero", who);
	expect(io_pgetevents(ctx, 1, 1, &event, NULL, NULL), -EINVAL, "%s: io_pgetevents", who);
	expect(io_queue_run(ctx), 0, "%s: io_queue_run", who);
	expect(io_queue_wait(ctx, NULL), -EINVAL, "%s: io_queue_wait", who);
	expect(io_destroy(ctx), -EINVAL, "%s: io_destroy", who);
	expect(io_queue_release(ctx), -EINVAL, "%s: io_queue_release", who);
}

/* All kinds of requests on a context of one's own. */
static void use_own(io_context_t ctx, const char *who)
{
	int file = scratch("file", 0);
	struct channel channel = new_pipe();
	struct iocb iocb;

	io_prep_pwrite(&iocb, file, "x", 1, 0);
	expect_result(ctx, &iocb, 1, "%s: write", who);
	io_prep_fsync(&iocb, file);
	expect_result(ctx, &iocb, 0, "%s: fsync", who);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "%s: poll", who);
}

static void wait_for_child(pid_t child)
{
	int status;

	MUST(waitpid(child, &status, 0));
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	io_context_t ctx = new_context(8), own;
	struct channel channel = new_pipe();
	struct iocb pending;
	pid_t child, grandchild;

	submit_poll(ctx, &pending, channel.in, POLLIN);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		refused(ctx, &pending, "child");
		own = new_context(8);
		use_own(own, "child");
		refused(ctx, &pending, "child with a context");
		grandchild = (pid_t)MUST(fork());
		if (grandchild == 0) {
			refused(own, &pending, "grandchild");
			use_own(new_context(8), "grandchild");
			_exit(finish());
		}
		wait_for_child(grandchild);
		use_own(own, "child again");
		end_context(own);
		_exit(finish());
	}
	wait_for_child(child);

	/* Nothing that they did has come through. */
	expect(events_there(ctx), 0, "parent: events");
	feed(channel.out);
	expect(reap_event_of(ctx, &pending) & POLLIN, POLLIN, "parent: its poll");
	use_own(ctx, "parent");
	end_context(ctx);
	return finish();
}
