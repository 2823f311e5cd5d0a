/* not: kernel: polls are the kernel's there, without a descriptor */
/* not: kernel: with an eventfd the polls are the kernel's, and no descriptor is ours */
/* only: uaio: the kernel's AIO has no descriptors */
/* Description: polls of several files that were submitted by one number wait, and the program closes the
 * library's epoll: each event comes all the same. */
#include "pending.h"

#define FILES 4

/* Closes all epolls; the program has none. Returns how many there were. */
static int close_epolls(void)
{
	char path[64], target[64];
	int count = 0;

	for (int fd = 3; fd < 1024; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = 0;
		if (strcmp(target, "anon_inode:[eventpoll]") == 0) {
			MUST(close(fd));
			count++;
		}
	}
	return count;
}

static void run(bool has_resfd)
{
	io_context_t ctx = new_context(8);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	int number = (int)MUST(dup(resfd));
	struct channel channels[FILES];
	struct iocb iocbs[FILES];

	for (int i = 0; i < FILES; i++) {
		channels[i] = new_pipe();
		MUST(dup2(channels[i].in, number));
		io_prep_poll(&iocbs[i], number, POLLIN);
		if (has_resfd)
			io_set_eventfd(&iocbs[i], resfd);
		submit_accepted(ctx, &iocbs[i]);
	}
	for (int i = 0; i < FILES; i++) {
		CHECK(close_epolls() > 0);
		feed(channels[i].out);
		expect(reap_event_of(ctx, &iocbs[i]) & POLLIN, POLLIN, "file %d", i);
	}
	expect(events_there(ctx), 0, "more events");
	if (has_resfd)
		expect(take_counts(resfd, FILES), FILES, "count");
	for (int i = 0; i < FILES; i++)
		close_channel(channels[i]);
	close(number);
	close(resfd);
	end_context(ctx);
}

int main(void)
{
	run(false);
	run(true);
	return finish();
}
