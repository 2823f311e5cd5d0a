/* Description: polls that are submitted together belong to their files, each by itself: numbers may
 * be closed or given to other files, and a file is let go with its event, in a forked child,
 * too. */
#include "pending.h"

#include <sys/wait.h>

#define BATCH 8

static io_context_t ctx;
static struct iocb iocbs[2 * BATCH];

/* How many of the polls are accepted. */
static int submit_polls(struct iocb *first, const int *fds, int events)
{
	struct iocb *list[BATCH];

	for (int i = 0; i < BATCH; i++) {
		io_prep_poll(&first[i], fds[i], events);
		list[i] = &first[i];
	}
	return io_submit(ctx, BATCH, list);
}

static void make(struct channel *channels, int *numbers)
{
	for (int i = 0; i < BATCH; i++) {
		channels[i] = new_pipe();
		numbers[i] = channels[i].in;
	}
}

/* How many pipes have lost their readers. */
static int orphans(const struct channel *channels)
{
	int count = 0;

	for (int i = 0; i < BATCH; i++) {
		struct pollfd end = { channels[i].out, POLLOUT, 0 };

		MUST(poll(&end, 1, 0));
		count += (end.revents & POLLERR) != 0;
	}
	return count;
}

/* Whether count events come, all of them for polls from first on. */
static void come(int count, const struct iocb *first, const char *what)
{
	struct io_event events[2 * BATCH];
	int got = reap(ctx, count, 2 * BATCH, events), good = 0;

	for (int i = 0; i < got; i++)
		good += events[i].obj >= first && events[i].obj < first + BATCH &&
			(event_res(&events[i]) & POLLIN);
	expect(got, count, "%s: events", what);
	expect(good, count, "%s: for these", what);
}

static void closed(bool with_child)
{
	struct channel channels[BATCH];
	struct io_event result;
	int numbers[BATCH], gate[2];
	pid_t child = 0;

	make(channels, numbers);
	expect(submit_polls(iocbs, numbers, POLLIN), BATCH, "submitted");
	for (int i = 0; i < BATCH; i++)
		close(numbers[i]);
	expect(orphans(channels), 0, "closed: without a reader");
	MUST(pipe(gate));
	if (with_child) {
		child = MUST(fork());
		if (child == 0) {
			char byte;

			close(gate[1]);
			_exit(read(gate[0], &byte, 1) != 0);
		}
		/* The child closes what it has inherited of the library, if anything. */
		sleep_ms(20);
	}
	for (int i = 0; i < BATCH; i += 2)
		feed(channels[i].out);
	come(BATCH / 2, iocbs, "closed");
	expect(orphans(channels), BATCH / 2, "after the events: without a reader");
	for (int i = 1; i < BATCH; i += 2) {
		expect(io_cancel(ctx, &iocbs[i], &result), -EINPROGRESS, "cancel");
		CHECK(reap(ctx, 1, 1, &result) == 1 && event_res(&result) == 0);
	}
	/* The kernel lets the file go a little later. */
	for (int tries = 0; tries < 100 && orphans(channels) < BATCH; tries++)
		sleep_ms(10);
	expect(orphans(channels), BATCH, "after the cancellations: without a reader");
	close(gate[0]);
	close(gate[1]);
	if (with_child) {
		int status;

		MUST(waitpid(child, &status, 0));
		expect(status, 0, "child");
	}
	for (int i = 0; i < BATCH; i++)
		close(channels[i].out);
}

static void replaced(void)
{
	struct channel first[BATCH], second[BATCH];
	int numbers[BATCH], others[BATCH];

	make(first, numbers);
	make(second, others);
	expect(submit_polls(iocbs, numbers, POLLIN), BATCH, "submitted");
	for (int i = 0; i < BATCH; i++) {
		MUST(dup2(others[i], numbers[i]));
		close(others[i]);
	}
	expect(submit_polls(iocbs + BATCH, numbers, POLLIN), BATCH, "other files, same numbers");
	sleep_ms(5);
	expect(events_there(ctx), 0, "events");
	for (int i = 0; i < BATCH; i++)
		feed(second[i].out);
	come(BATCH, iocbs + BATCH, "the other files");
	expect(orphans(first), 0, "the first files without a reader");
	for (int i = 0; i < BATCH; i++)
		feed(first[i].out);
	come(BATCH, iocbs, "the first files");
	expect(orphans(first), BATCH, "the first files without a reader");
	expect(orphans(second), 0, "the other files without a reader");
	for (int i = 0; i < BATCH; i++) {
		close(numbers[i]);
		close(first[i].out);
		close(second[i].out);
	}
}

static void one_file(void)
{
	struct channel channel = new_pipe();
	int numbers[BATCH];

	for (int i = 0; i < BATCH; i++)
		numbers[i] = channel.in;
	expect(submit_polls(iocbs, numbers, POLLIN), BATCH, "on one file");
	close(channel.in);
	feed(channel.out);
	come(BATCH, iocbs, "one file");
	struct pollfd end = { channel.out, POLLOUT, 0 };
	MUST(poll(&end, 1, 0));
	expect(end.revents & POLLERR, POLLERR, "without a reader");
	close(channel.out);
}

static void mixed(void)
{
	struct channel channels[BATCH];
	struct io_event events[BATCH];
	int numbers[BATCH];

	make(channels, numbers);
	int file = scratch("file", O_RDONLY);
	int saved = numbers[5];
	numbers[2] = file;
	numbers[5] = 9999;
	feed(channels[1].out);
	expect(submit_polls(iocbs, numbers, POLLIN), 5, "up to a number that is not open");
	int got = reap(ctx, 2, BATCH, events);
	expect(got, 2, "ready at once");
	for (int i = 0; i < got; i++)
		CHECK(events[i].obj == &iocbs[1] || events[i].obj == &iocbs[2]);
	feed(channels[0].out);
	feed(channels[3].out);
	feed(channels[4].out);
	come(3, iocbs, "the others");
	numbers[0] = 9999;
	expect(submit_polls(iocbs, numbers, POLLIN), -EBADF, "the first one is not open");
	close(file);
	close(saved);
	for (int i = 0; i < BATCH; i++) {
		close(channels[i].in);
		close(channels[i].out);
	}
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	ctx = new_context(2 * BATCH);
	for (int round = 0; round < 3; round++) {
		fact("round %d", round);
		closed(false);
		closed(true);
		replaced();
		one_file();
		mixed();
	}
	end_context(ctx);
	return finish();
}
