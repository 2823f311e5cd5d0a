/* Description: a forked child has the descriptors that the program has opened, all of them and no
 * other: what the library opened for requests in flight is closed there. */
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
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC)), file = scratch_direct("file", PAGE, 'f');
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct iocb iocbs[4], of_closed, read;
	bool before[1024] = { 0 };
	int status;

	for (int i = 0; i < 4; i++)
		channels[i] = new_pipe();
	list_descriptors(before);
	for (int i = 0; i < 4; i++) {
		io_prep_poll(&iocbs[i], channels[i].in, POLLIN);
		if (i % 2)
			io_set_eventfd(&iocbs[i], resfd);
		submit_accepted(ctx, &iocbs[i]);
	}
	submit_poll(ctx, &of_closed, gone.in, POLLIN);
	io_prep_pread(&read, file, buffer, PAGE, 0);
	submit_accepted(ctx, &read);
	expect(reap_event_of(ctx, &read), PAGE, "direct read");
	close(gone.in);
	before[gone.in] = false;

	if (MUST(fork()) == 0) {
		bool after[1024] = { 0 };
		int missing = 0, extra = 0;

		list_descriptors(after);
		for (int fd = 0; fd < 1024; fd++) {
			missing += before[fd] && !after[fd];
			extra += !before[fd] && after[fd];
		}
		expect(missing, 0, "descriptors that the child has lost");
		expect(extra, 0, "descriptors that the program has not opened");
		_exit(finish());
	}
	MUST(wait(&status));
	CHECK(status == 0);
	for (int i = 0; i < 4; i++)
		feed(channels[i].out);
	expect(reap(ctx, 4, 4, (struct io_event[4]){ 0 }), 4, "parent: events of four polls");
	expect(take_counts(resfd, 2), 2, "parent: count");
	end_context(ctx);
	return finish();
}
