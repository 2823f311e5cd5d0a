/* only: kernel: elsewhere a thread of the library sees to the eventfds */
/* Description: a context whose requests signal an eventfd is the kernel's own: its ring is that of the
 * kernel's AIO, at the same address, and no thread serves it; io_destroy leaves nothing there. */
#include "pending.h"

/* Whether the mapping with the ring is the kernel's. */
static bool is_kernels(io_context_t ctx)
{
	unsigned long from, to, at = (unsigned long)ctx;
	char line[512];
	bool is_it = false;
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		die("/proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= at && at < to)
			is_it = strstr(line, "/[aio]") != NULL;
	fclose(maps);
	return is_it;
}

int main(void)
{
	int file = scratch_direct("file", 4 * PAGE, 'f'), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *buffer = pages(4, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	int threads = entries("/proc/self/task");
	struct io_event event = { 0 };
	struct iocb iocb;

	for (int round = 0; round < 3; round++) {
		io_context_t ctx = new_context(8);

		/* Its ring may have turned before. */
		for (int i = 0; i < round; i++) {
			io_prep_pread(&iocb, file, buffer, PAGE, 0);
			submit_accepted(ctx, &iocb);
			expect(reap_event_of(ctx, &iocb), PAGE, "read without an eventfd");
		}
		CHECK(!is_kernels(ctx));
		io_prep_pread(&iocb, file, buffer, PAGE, 0);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		CHECK(is_kernels(ctx));
		expect(take_counts(resfd, 1), 1, "count");
		CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocb));
		expect(event_res(&event), PAGE, "read");
		/* Polls are the kernel's, too. */
		io_prep_poll(&iocb, channel.in, POLLIN);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		feed(channel.out);
		expect(take_counts(resfd, 1), 1, "count of a poll");
		CHECK(take_from_ring(ctx, &event) && event_is_for(&event, &iocb));
		empty_out(channel.in);
		MUST(fcntl(channel.in, F_SETFL, 0));
		expect(entries("/proc/self/task") - threads, 0, "more threads");
		end_context(ctx);
		CHECK(!is_kernels(ctx));
	}
	return finish();
}
