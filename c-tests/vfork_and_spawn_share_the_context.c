/* Description: a vfork child runs in its parent's memory and may use its contexts; programs that
 * are spawned disturb nothing. */
#include "pending.h"

#include <spawn.h>

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channel = new_pipe();
	char *arguments[] = { "true", NULL }, *environment[] = { NULL };
	struct iocb pending, from_child;
	volatile int submitted = 0;
	int status;
	pid_t child;

	submit_poll(ctx, &pending, channel.in, POLLIN);
	for (int i = 0; i < 3; i++) {
		errno = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environment);
		if (errno)
			die("posix_spawn");
		MUST(waitpid(child, &status, 0));
		expect(status, 0, "spawned program");
	}
	expect(events_there(ctx), 0, "events");

	io_prep_poll(&from_child, channel.out, POLLOUT);
	from_child.data = &status;
	child = (pid_t)MUST(vfork());
	if (child == 0) {
		submitted = submit(ctx, &from_child);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0));
	expect(submitted, 1, "submitted by a vfork child");
	expect(reap_event_of(ctx, &from_child), POLLOUT, "its event");
	feed(channel.out);
	expect(reap_event_of(ctx, &pending) & POLLIN, POLLIN, "the poll that was pending");
	end_context(ctx);
	return finish();
}
