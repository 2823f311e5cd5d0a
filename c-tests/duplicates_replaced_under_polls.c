/* not: kernel: polls are the kernel's there, without a descriptor */
/* only: uaio: the kernel's AIO has no descriptors */
/* Description: while a poll waits, the program puts a file of its own at the number of the duplicate that
 * holds the polled file, or closes that: the event comes, the file stays open and is not touched, and
 * later polls of the same file are right. */
#include "pending.h"

static int victim;

/* Whether two numbers are the same file. */
static bool is_same(int one, int other)
{
	struct stat first, second;

	return fstat(one, &first) == 0 && fstat(other, &second) == 0 &&
		first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* The number of a duplicate of the program's descriptor, or -1. */
static int find_duplicate(int of)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fd != of && is_same(fd, of))
			return fd;
	return -1;
}

static void run(io_context_t ctx, bool replaces)
{
	struct channel channel = new_socketpair(SOCK_STREAM);
	struct iocb iocb;
	int duplicate;

	submit_poll(ctx, &iocb, channel.in, POLLIN);
	duplicate = find_duplicate(channel.in);
	/* A context with many polls holds files without one: another test's matter. */
	CHECK(duplicate != -1);
	if (replaces)
		MUST(dup2(victim, duplicate));
	else
		close(duplicate);
	feed(channel.out);
	CHECK(reap_event_of(ctx, &iocb) & POLLIN);
	if (replaces) {
		CHECK(is_same(duplicate, victim));
		close(duplicate);
	}
	empty_out(channel.in);
	submit_poll(ctx, &iocb, channel.in, POLLIN);
	feed(channel.out);
	CHECK(reap_event_of(ctx, &iocb) & POLLIN);
	close_channel(channel);
}

int main(void)
{
	io_context_t ctx = new_context(4);

	victim = scratch_filled("victim", 0, PAGE, 'v');
	MUST(lseek(victim, 100, SEEK_SET));
	for (int i = 0; i < 10; i++)
		run(ctx, i % 2);
	expect((long)lseek(victim, 0, SEEK_CUR), 100, "offset");
	expect((long)lseek(victim, 0, SEEK_END), (long)PAGE, "size");
	end_context(ctx);
	return finish();
}
