/* Description: a poll of a file that is not ready stays pending and completes when it becomes
 * ready, for every kind of file. */
#include "pending.h"

#include <sys/inotify.h>
#include <sys/timerfd.h>

static io_context_t ctx;
static struct iocb iocb;

/* The file is not ready. */
static void begin(int fd, int events, const char *what)
{
	submit_poll(ctx, &iocb, fd, events);
	expect(events_there(ctx), 0, "%s, %#x: events before", what, (unsigned)events);
}

/* By now it is. What was not asked for is left out: the kernel may add more. */
static void end(int events)
{
	expect(reap_event_of(ctx, &iocb) & events, events, "then");
}

/* Pipes wake with all that they have become, and the kernel passes that on. */
static void end_of_pipe(int events)
{
	expect(reap_event_of(ctx, &iocb), events, "then");
}

static void channels(void)
{
	static const struct {
		int type;
		const char *name;
	} types[] = {
		{ SOCK_STREAM, "stream socket" },
		{ SOCK_DGRAM, "datagram socket" },
		{ SOCK_SEQPACKET, "sequenced packet socket" },
	};
	struct channel channel = new_pipe();

	begin(channel.in, POLLIN, "pipe");
	feed(channel.out);
	end_of_pipe(POLLIN | POLLRDNORM);
	fill_up(channel.out);
	begin(channel.out, POLLOUT, "pipe");
	empty_out(channel.in);
	end_of_pipe(POLLOUT | POLLWRNORM);
	close_channel(channel);

	MUST(mkfifo("fifo", 0600));
	channel.in = (int)MUST(open("fifo", O_RDONLY | O_NONBLOCK));
	channel.out = (int)MUST(open("fifo", O_WRONLY));
	begin(channel.in, POLLIN, "fifo");
	feed(channel.out);
	end_of_pipe(POLLIN | POLLRDNORM);
	close_channel(channel);

	for (size_t i = 0; i < COUNT(types); i++) {
		channel = new_socketpair(types[i].type);
		begin(channel.in, POLLIN, types[i].name);
		feed(channel.out);
		end(POLLIN);
		close_channel(channel);
	}
	channel = new_socketpair(SOCK_STREAM);
	fill_up(channel.out);
	begin(channel.out, POLLOUT, "stream socket");
	empty_out(channel.in);
	end(POLLOUT);
	close_channel(channel);
}

static void special_files(void)
{
	struct itimerspec soon = { .it_value = { 0, 20000000 } };
	int event = (int)MUST(eventfd(0, 0)), timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	int notify = (int)MUST(inotify_init1(0)), child, pidfd;
	struct channel channel = new_pipe();

	begin(event, POLLIN, "eventfd");
	MUST(eventfd_write(event, 1));
	end(POLLIN);
	MUST(eventfd_write(event, UINT64_MAX - 2));
	begin(event, POLLOUT, "eventfd");
	take_count(event);
	end(POLLOUT);

	begin(timer, POLLIN, "timerfd");
	MUST(timerfd_settime(timer, 0, &soon, NULL));
	end(POLLIN);

	MUST(inotify_add_watch(notify, ".", IN_CREATE));
	begin(notify, POLLIN, "inotify");
	close(scratch("noticed", 0));
	end(POLLIN);

	child = (int)MUST(fork());
	if (child == 0) {
		close(channel.out);
		read(channel.in, &(char){ 0 }, 1);
		_exit(0);
	}
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	if (pidfd != -1)
		begin(pidfd, POLLIN, "pidfd");
	close(channel.out);
	if (pidfd != -1)
		end(POLLIN);
	MUST(waitpid(child, NULL, 0));
}

int main(void)
{
	ctx = new_context(4);
	channels();
	special_files();
	end_context(ctx);
	return finish();
}
