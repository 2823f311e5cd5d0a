/* Description: the file that a pending poll keeps open is not kept open by a child, forked or
 * spawned: the peer sees the end when the parent's poll has ended. */
#include "forking.h"

#include <spawn.h>

static int revents(int fd)
{
	struct pollfd state = { fd, POLLIN, 0 };

	MUST(poll(&state, 1, 0));
	return state.revents;
}

static pid_t spawn_sleeper(void)
{
	char *arguments[] = { "sleep", "25", NULL }, *environment[] = { NULL };
	pid_t child;

	errno = posix_spawn(&child, "/bin/sleep", NULL, NULL, arguments, environment);
	if (errno)
		die("posix_spawn");
	return child;
}

static void with_child(io_context_t ctx, pid_t (*start_child)(void), const char *what)
{
	struct channel channel = new_pipe();
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct iocb iocbs[2];
	struct io_event result;
	pid_t child;

	submit_poll(ctx, &iocbs[0], channel.out, POLLPRI);
	io_prep_poll(&iocbs[1], channel.out, POLLPRI);
	io_set_eventfd(&iocbs[1], resfd);
	submit_accepted(ctx, &iocbs[1]);
	close(channel.out);
	child = start_child();
	sleep_ms(50);
	expect(revents(channel.in), 0, "%s, polls pending: revents", what);
	for (int i = 0; i < 2; i++) {
		expect(io_cancel(ctx, &iocbs[i], &result), -EINPROGRESS, "%s: cancel", what);
		expect(reap_event_of(ctx, &iocbs[i]), 0, "%s: res", what);
	}
	EVENTUALLY(revents(channel.in) == POLLHUP);
	expect(revents(channel.in), POLLHUP, "%s, polls cancelled: revents", what);
	expect(waitpid(child, NULL, WNOHANG), 0, "%s: child ended", what);
	kill(child, SIGKILL);
	MUST(waitpid(child, NULL, 0));

	/* And completed, not cancelled. */
	channel = new_socketpair(SOCK_STREAM);
	submit_poll(ctx, &iocbs[0], channel.in, POLLIN);
	close(channel.in);
	child = start_child();
	sleep_ms(50);
	feed(channel.out);
	expect(reap_event_of(ctx, &iocbs[0]) & POLLIN, POLLIN, "%s: completed", what);
	EVENTUALLY(revents(channel.out) & POLLHUP);
	expect(revents(channel.out) & POLLHUP, POLLHUP, "%s, poll completed: revents", what);
	kill(child, SIGKILL);
	MUST(waitpid(child, NULL, 0));
	close(channel.out);
}

int main(void)
{
	io_context_t ctx = new_context(8);

	with_child(ctx, fork_sleeper, "forked");
	with_child(ctx, spawn_sleeper, "spawned");
	end_context(ctx);
	return finish();
}
