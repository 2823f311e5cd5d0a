/* Description: calls work in exit handlers and destructors, on old contexts and on others. */
#include "pending.h"

static io_context_t ctx;
static struct channel channel;
static struct iocb pending;
static int file;

static void use(io_context_t context, const char *when)
{
	struct iocb iocb;

	io_prep_pwrite(&iocb, file, "x", 1, 0);
	expect_result(context, &iocb, 1, "%s: write", when);
	io_prep_fsync(&iocb, file);
	expect_result(context, &iocb, 0, "%s: fsync", when);
	io_prep_poll(&iocb, channel.out, POLLOUT);
	expect_result(context, &iocb, POLLOUT, "%s: poll", when);
}

static void use_both(const char *when)
{
	io_context_t other = new_context(4);

	use(ctx, when);
	use(other, when);
	end_context(other);
	if (check_failures)
		_exit(1);
}

static void handler(void)
{
	use_both("exit handler");
	feed(channel.out);
	expect(reap_event_of(ctx, &pending) & POLLIN, POLLIN, "the poll that was pending");
}

static void early_handler(void)
{
	use_both("early exit handler");
}

__attribute__((destructor)) static void last(void)
{
	use_both("destructor");
	expect(io_destroy(ctx), 0, "destroy");
	expect(io_destroy(ctx), -EINVAL, "destroy again");
	if (check_failures)
		_exit(1);
}

int main(void)
{
	/* Registered before the library has anything to do at exit, and called after that. */
	MUST(-atexit(early_handler));
	file = scratch("file", 0);
	channel = new_pipe();
	ctx = new_context(8);
	submit_poll(ctx, &pending, channel.in, POLLIN);
	use_both("main");
	MUST(-atexit(handler));
	return finish();
}
