/* Description: what the library closes in a child is its own: the child has every descriptor that the
 * program had, and no other. */
#include "pending.h"

#include <dirent.h>

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
			struct stat seen, polled;

			if (before[fd] || !after[fd] || fstat(fd, &seen) == -1)
				continue;
			for (int i = 0; i < 4; i++) {
				MUST(fstat(channels[i].in, &polled));
				kept += polled.st_ino == seen.st_ino && polled.st_dev == seen.st_dev;
			}
			MUST(fstat(gone.out, &polled));
			kept += polled.st_ino == seen.st_ino && polled.st_dev == seen.st_dev;
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
