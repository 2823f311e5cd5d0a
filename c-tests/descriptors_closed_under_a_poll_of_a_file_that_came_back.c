/* not: kernel: polls are the kernel's there, without a descriptor */
/* only: uaio: the kernel's AIO has no descriptors */
/* Description: a number has meant one file, another one, and the first one again, all of them polled;
 * then the program closes what the library has opened: the poll that waits finds its file by the
 * number. */
#include "pending.h"

#define MOST 256

static bool is_ours[MOST];

static void note_ours(void)
{
	for (int fd = 0; fd < MOST; fd++)
		is_ours[fd] = fcntl(fd, F_GETFD) != -1;
}

static void close_others(void)
{
	for (int fd = 0; fd < MOST; fd++)
		if (!is_ours[fd])
			close(fd);
}

static void poll_once(io_context_t ctx, int number, struct channel channel)
{
	struct iocb iocb;

	submit_poll(ctx, &iocb, number, POLLIN);
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "a poll on the way");
	empty_out(channel.in);
}

int main(void)
{
	struct rlimit limit = { MOST, MOST };
	struct channel first = new_pipe(), second = new_pipe();
	int number = (int)MUST(dup(first.in));
	io_context_t ctx = new_context(8);
	struct iocb iocb;

	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	note_ours();
	for (int round = 0; round < 3; round++) {
		MUST(dup2(first.in, number));
		poll_once(ctx, number, first);
		MUST(dup2(second.in, number));
		poll_once(ctx, number, second);
		MUST(dup2(first.in, number));
		submit_poll(ctx, &iocb, number, POLLIN);
		close_others();
		expect(events_there(ctx), 0, "round %d: events while nothing is ready", round);
		feed(first.out);
		expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "round %d", round);
		empty_out(first.in);
	}
	end_context(ctx);
	return finish();
}
