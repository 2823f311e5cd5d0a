/* only: uaio: the kernel's AIO has no descriptors */
/* not: kernel: nor has the library where the kernel's AIO does it */
/* Description: the library keeps a descriptor of a file with record locks, of a pipe that a poll waits for,
 * and of an eventfd, and the program puts files of its own, closed on exec, at these numbers: a forked
 * child has them. */
#include "pending.h"

/* The highest number below 1024 of the file, or -1. */
static int find_highest(int file)
{
	struct stat wanted, found;

	MUST(fstat(file, &wanted));
	for (int fd = 1023; fd > file; fd--)
		if (fstat(fd, &found) == 0 && found.st_dev == wanted.st_dev &&
		    found.st_ino == wanted.st_ino)
			return fd;
	return -1;
}

/* Puts `other` at the number of ours, and shows it to a child. */
static void replace(int other, int number, const char *what)
{
	int status;

	if (number == -1)
		skip("no descriptor is kept");
	MUST(dup3(other, number, O_CLOEXEC));
	if (MUST(fork()) == 0) {
		expect(write(number, "x", 1), 1, "%s: child: written", what);
		_exit(finish());
	}
	MUST(wait(&status));
	CHECK(status == 0);
}

/* A descriptor of the library's is higher than the program's; eventfds have one inode, all of them. */
static int find_eventfd(void)
{
	return find_highest((int)MUST(eventfd(0, EFD_CLOEXEC)));
}

int main(void)
{
	io_context_t ctx = new_context(4);
	int file = scratch_filled("file", 0, PAGE, 'f'), numbers[3];
	int other = (int)MUST(open("other", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct channel channel = new_pipe();
	struct iocb iocb;

	MUST(fcntl(file, F_SETLK, &lock));
	io_prep_fsync(&iocb, file);
	submit_accepted(ctx, &iocb);
	expect(reap_event_of(ctx, &iocb), 0, "fsync");
	io_prep_poll(&iocb, channel.in, POLLIN);
	io_set_eventfd(&iocb, resfd);
	submit_accepted(ctx, &iocb);
	numbers[0] = find_highest(file);
	numbers[1] = find_highest(channel.in);
	numbers[2] = find_eventfd();
	replace(other, numbers[0], "locked file");
	replace(other, numbers[1], "pipe");
	replace(other, numbers[2], "eventfd");
	feed(channel.out);
	expect(reap_event_of(ctx, &iocb) & POLLIN, POLLIN, "poll");
	expect(take_counts(resfd, 1), 1, "count");
	end_context(ctx);
	for (int i = 0; i < 3; i++)
		expect(write(numbers[i], "x", 1), 1, "written");
	return finish();
}
