/* not: always: the harvester may look a moment later */
/* Description: a poll of a signalfd completes when the process whose signals it tells of has
 * ended. */
#define _GNU_SOURCE
#include "pending.h"

#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

static io_context_t ctx;
static struct iocb iocb;
static int accepted;

/* Has the memory of its parent, and signals of its own. */
static int body(void *argument)
{
	sigset_t set;
	int fd;

	(void)argument;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	io_prep_poll(&iocb, fd, POLLIN);
	accepted = submit(ctx, &iocb);
	_exit(0);
}

static void in_child(int flags, const char *name)
{
	char *stack = pages(64, PROT_READ | PROT_WRITE);
	struct timespec long_time = { 10, 0 };
	struct io_event event = { 0 };
	int status;
	pid_t child;

	ctx = new_context(4);
	child = MUST(clone(body, stack + 64 * PAGE, CLONE_VM | flags | SIGCHLD, NULL));
	MUST(waitpid(child, &status, 0));
	expect(accepted, 1, "submitted by a child with %s", name);
	expect(io_getevents(ctx, 1, 1, &event, &long_time), 1, "reaped when it is gone");
	CHECK(event_is_for(&event, &iocb));
	expect(event_res(&event), POLLHUP, "res");
	end_context(ctx);
}

int main(void)
{
	in_child(CLONE_FILES, "the descriptors of its parent");
	in_child(0, "descriptors of its own");
	return finish();
}
