/* Description: no descriptor of the library is open in a program that is executed, whatever it has
 * been used for. */
#include "pending.h"

/* Whether this test or the loader has opened it. */
static bool was_open[1024];

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

int main(void)
{
	int file = scratch_direct("file", 64 * PAGE, 'f');
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *buffer = pages(64, PROT_READ | PROT_WRITE);
	static struct iocb iocbs[24];
	struct io_event events[24];
	int inherited = 0;
	struct channel channels[8];
	io_context_t ctx;

	for (int i = 0; i < 8; i++)
		channels[i] = new_pipe();
	for (int fd = 0; fd < 1024; fd++)
		was_open[fd] = is_open(fd);
	ctx = new_context(64);

	for (int i = 0; i < 8; i++) {
		io_prep_pread(&iocbs[i], file, buffer + i * PAGE, PAGE, i * (long)PAGE);
		io_prep_fdsync(&iocbs[8 + i], file);
		io_prep_poll(&iocbs[16 + i], channels[i].in, POLLIN);
	}
	for (int round = 0; round < 2; round++) {
		struct iocb *list[24];

		for (int i = 0; i < 24; i++) {
			list[i] = &iocbs[i];
			/* In the second round everything is completed in the background. */
			if (round)
				io_set_eventfd(&iocbs[i], resfd);
		}
		expect(io_submit(ctx, 24, list), 24, "submitted");
		/* While the polls hold their files. */
		for (int fd = 0; fd < 1024; fd++)
			inherited += is_open(fd) && !was_open[fd] &&
				     !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		for (int i = 0; i < 8; i++)
			feed(channels[i].out);
		expect(reap(ctx, 24, 24, events), 24, "events");
		for (int i = 0; i < 8; i++)
			MUST(read(channels[i].in, buffer, 1));
	}
	expect(inherited, 0, "descriptors that would be inherited");
	end_context(ctx);
	return finish();
}
