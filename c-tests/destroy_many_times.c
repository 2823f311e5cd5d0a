/* Description: setting up a context, using it and destroying it, many times over, leaves no
 * descriptor, no thread and no memory behind. */
#include "pending.h"

static long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages_in_memory = 0;

	if (!file || fscanf(file, "%*d %ld", &pages_in_memory) != 1)
		die("/proc/self/statm");
	fclose(file);
	return pages_in_memory;
}

/* In all the ways in which polls and syncs can end. */
static void use(int file, struct channel channel, int resfd)
{
	io_context_t ctx = new_context(4);
	struct iocb iocbs[4];
	struct io_event event;

	submit_poll(ctx, &iocbs[0], channel.in, POLLIN);
	submit_poll(ctx, &iocbs[1], channel.in, POLLIN);
	io_prep_poll(&iocbs[2], channel.in, POLLIN);
	io_set_eventfd(&iocbs[2], resfd);
	submit_accepted(ctx, &iocbs[2]);
	CHECK(io_cancel(ctx, &iocbs[1], &event) == -EINPROGRESS);
	CHECK(reap(ctx, 1, 1, &event) == 1);
	io_prep_fdsync(&iocbs[3], file);
	submit_accepted(ctx, &iocbs[3]);
	end_context(ctx);
	CHECK(take_count(resfd) == 1);
}

int main(void)
{
	int file = scratch("file", 0), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct channel channel = new_pipe();
	int descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
	long end, memory;

	for (int i = 0; i < 10; i++)
		use(file, channel, resfd);
	memory = resident_pages();
	/* The kernel's io_destroy takes some 30 ms: as many rounds as there is time for. */
	end = now_ms() + 4000;
	for (int i = 0; i < 1000 && now_ms() < end; i++)
		use(file, channel, resfd);
	EVENTUALLY(entries("/proc/self/fd") == descriptors);
	EVENTUALLY(entries("/proc/self/task") == threads);
	CHECK(resident_pages() - memory < 512);
	return finish();
}
