/* not: kernel: with an eventfd the polls are the kernel's, and no descriptor is ours */
/* only: uaio: the kernel's AIO has no descriptors */
/* Description: polls with an eventfd wait, the program calls nothing, and one of the library's epolls is
 * closed, or each of them: the events come, and the eventfd counts them. */
#include "pending.h"

#define MOST 64

/* The numbers of all epolls: the program has none. */
static int find_epolls(int numbers[MOST])
{
	char path[64], target[64];
	int count = 0;

	for (int fd = 3; fd < 1024 && count < MOST; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = 0;
		if (strcmp(target, "anon_inode:[eventpoll]") == 0)
			numbers[count++] = fd;
	}
	return count;
}

/* Closes the epolls of the mask; how many there were. */
static int run(unsigned mask)
{
	io_context_t ctx = new_context(4);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct channel channels[2] = { new_pipe(), new_pipe() };
	struct iocb iocbs[2];
	int epolls[MOST], count;

	for (int i = 0; i < 2; i++) {
		io_prep_poll(&iocbs[i], channels[i].in, POLLIN);
		io_set_eventfd(&iocbs[i], resfd);
		submit_accepted(ctx, &iocbs[i]);
	}
	count = find_epolls(epolls);
	for (int i = 0; i < count; i++)
		if (mask & 1u << i)
			close(epolls[i]);
	feed(channels[0].out);
	expect(take_counts(resfd, 1), 1, "closed %#x: count of the first", mask);
	expect((long)in_ring(ctx), 1, "closed %#x: in the ring", mask);
	CHECK(reap_event_of(ctx, &iocbs[0]) & POLLIN);
	/* What was not ready goes on waiting. */
	feed(channels[1].out);
	expect(take_counts(resfd, 1), 1, "closed %#x: count of the second", mask);
	CHECK(reap_event_of(ctx, &iocbs[1]) & POLLIN);
	end_context(ctx);
	for (int i = 0; i < 2; i++)
		close_channel(channels[i]);
	close(resfd);
	return count;
}

int main(void)
{
	/* The context's and the background thread's. */
	expect(run(0), 2, "epolls");
	for (unsigned mask = 1; mask < 4; mask++)
		run(mask);
	expect(run(0), 2, "epolls");
	return finish();
}
