/* not: kernel: with an eventfd the polls are the kernel's, and no descriptor is ours */
/* only: uaio: the kernel's AIO has no descriptors */
/* Description: polls with an eventfd wait, the program calls nothing, and it puts an epoll of its own,
 * in which something is ready, under the number of one of the library's epolls, or of each: the events
 * come, the eventfd counts them, and what is in the program's epoll means nothing to the library. A
 * forked child has the program's files at these numbers, too. */
#include "pending.h"

#include <sys/epoll.h>

#define MOST 8

/* The program's epoll, which reports an eventfd that is always ready. */
static int new_epoll(uint64_t data)
{
	int epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	int ready = (int)MUST(eventfd(1, EFD_CLOEXEC));
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, ready, &event));
	return epoll;
}

/* The numbers of all epolls; called when the program has none. */
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

/* Whether `number` means the program's epoll still. */
static bool is_own(int number, uint64_t data)
{
	struct epoll_event event = { 0 };

	return epoll_wait(number, &event, 1, 0) == 1 && event.data.u64 == data;
}

static void count_own(const int *numbers, int count, unsigned mask, uint64_t data, const char *who)
{
	int own = 0, wanted = 0;

	for (int i = 0; i < count; i++) {
		if (mask & 1u << i) {
			wanted++;
			own += is_own(numbers[i], data);
		}
	}
	expect(own, wanted, "mask %#x: the program's epolls in the %s", mask, who);
}

static void run(unsigned mask, uint64_t data)
{
	io_context_t ctx = new_context(4);
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct channel channels[3] = { new_pipe(), new_pipe(), new_pipe() };
	int epolls[MOST], count, own, status;
	struct iocb iocbs[3];

	for (int i = 0; i < 3; i++) {
		io_prep_poll(&iocbs[i], channels[i].in, POLLIN);
		io_set_eventfd(&iocbs[i], resfd);
		submit_accepted(ctx, &iocbs[i]);
	}
	count = find_epolls(epolls);
	expect(count, 2, "epolls of the context and of the background thread");
	own = new_epoll(data);
	for (int i = 0; i < count; i++)
		if (mask & 1u << i)
			MUST(dup3(own, epolls[i], O_CLOEXEC));
	if (MUST(fork()) == 0) {
		count_own(epolls, count, mask, data, "child");
		_exit(finish());
	}
	MUST(wait(&status));
	CHECK(status == 0);
	/* The first finds the background thread asleep on what was there before. */
	for (int i = 0; i < 3; i++) {
		feed(channels[i].out);
		expect(take_counts(resfd, 1), 1, "mask %#x: count", mask);
		CHECK(reap_event_of(ctx, &iocbs[i]) & POLLIN);
	}
	count_own(epolls, count, mask, data, "parent");
	end_context(ctx);
	count_own(epolls, count, mask, data, "parent, after the context");
	for (int i = 0; i < count; i++)
		if (mask & 1u << i)
			close(epolls[i]);
	close(own);
	close(resfd);
	for (int i = 0; i < 3; i++)
		close_channel(channels[i]);
}

int main(void)
{
	static char somewhere[256];
	/* Nothing, what is no address, one that is not mapped, and one that is. */
	uint64_t datas[] = { 0, 7, 0x123456789000, (uintptr_t)somewhere };

	for (size_t i = 0; i < COUNT(datas); i++)
		for (unsigned mask = 1; mask < 4; mask++)
			run(mask, datas[i]);
	for (size_t i = 0; i < sizeof(somewhere); i++)
		CHECK(somewhere[i] == 0);
	return finish();
}
