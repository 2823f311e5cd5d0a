/* Description: what the library closes in a child is its own: the child has every descriptor that
 * the program had, and no other. */
#include "pending.h"

#include <dirent.h>

static bool are_same_file(int fd, int other)
{
	struct stat one, two;

	return fstat(fd, &one) == 0 && fstat(other, &two) == 0 && one.st_dev == two.st_dev &&
	       one.st_ino == two.st_ino;
}

static void list_descriptors(bool *open)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!directory)
		die("/proc/self/fd");
	while ((entry = readdir(directory))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < 1024)
			open[fd] = true;
	}
	closedir(directory);
}

int main(void)
{
	io_context_t ctx = new_context(8);
	struct channel channels[4], gone = new_pipe();
	bool before[1024] = { 0 };
	struct iocb iocbs[4], of_closed;
	int status;

	for (int i = 0; i < 4; i++)
		channels[i] = new_pipe();
	list_descriptors(before);
	for (int i = 0; i < 4; i++)
		submit_poll(ctx, &iocbs[i], channels[i].in, POLLIN);
	submit_poll(ctx, &of_closed, gone.in, POLLIN);
	close(gone.in);
	before[gone.in] = false;

	if (MUST(fork()) == 0) {
		bool after[1024] = { 0 };
		int missing = 0, kept = 0;

		for (int fd = 0; fd < 1024; fd++)
			missing += before[fd] && fcntl(fd, F_GETFD) == -1;
		for (int i = 0; i < 4; i++)
			feed(channels[i].out);
		/* What the parent polls, and what it has closed, has no other number here. */
		list_descriptors(after);
		for (int fd = 0; fd < 1024; fd++) {
			if (before[fd] || !after[fd])
				continue;
			for (int i = 0; i < 4; i++)
				kept += are_same_file(fd, channels[i].in);
			kept += are_same_file(fd, gone.out);
		}
		expect(missing, 0, "descriptors that the child has lost");
		expect(kept, 0, "files that the child holds by another number");
		_exit(finish());
	}
	MUST(wait(&status));
	CHECK(status == 0);
	for (int i = 0; i < 4; i++)
		expect(reap(ctx, 1, 1, &(struct io_event){ 0 }), 1, "parent: poll %d", i);
	end_context(ctx);
	return finish();
}
