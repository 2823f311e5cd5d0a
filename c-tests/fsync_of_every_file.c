/*
 * Description: files on a file system can be synced, whatever they are open for; others are
 * refused.
 */
#include "check.h"

static io_context_t ctx;

static void syncs(int fd, long want, const char *what)
{
	struct iocb iocb;

	io_prep_fsync(&iocb, fd);
	expect_result(ctx, &iocb, want, "fsync, %s", what);
	io_prep_fdsync(&iocb, fd);
	expect_result(ctx, &iocb, want, "fdsync, %s", what);
}

static void refused(int fd, const char *what)
{
	struct iocb iocb;

	io_prep_fsync(&iocb, fd);
	expect_submit(ctx, &iocb, -EINVAL, "fsync, %s", what);
	io_prep_fdsync(&iocb, fd);
	expect_submit(ctx, &iocb, -EINVAL, "fdsync, %s", what);
}

int main(void)
{
	int file = scratch("file", O_TRUNC), pair[2];
	char data[4096] = { 1 };
	struct iocb first, sync, *list[] = { &first, &sync };
	struct io_event events[2];

	ctx = new_context(64);
	MUST(write(file, data, sizeof(data)));
	syncs(file, 0, "file");
	syncs(MUST(open("file", O_RDONLY | O_CLOEXEC)), 0, "read-only");
	syncs(MUST(open("file", O_WRONLY | O_CLOEXEC)), 0, "write-only");
	syncs(MUST(open("file", O_WRONLY | O_APPEND | O_CLOEXEC)), 0, "append");
	syncs(MUST(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), 0, "directory");
	syncs(MUST(memfd_create("memory", MFD_CLOEXEC)), 0, "memfd");

	MUST(pipe2(pair, O_CLOEXEC));
	refused(pair[0], "pipe");
	refused(pair[1], "pipe");
	refused(MUST(eventfd(0, EFD_CLOEXEC)), "eventfd");
	refused(MUST(open("/dev/null", O_RDWR | O_CLOEXEC)), "/dev/null");
	refused(MUST(open("/dev/zero", O_RDWR | O_CLOEXEC)), "/dev/zero");
	refused(MUST(open("/proc/self/status", O_RDONLY | O_CLOEXEC)), "/proc/self/status");

	/* Many at once, on one file. */
	static struct iocb many[50], *all[50];
	static struct io_event done[50];
	for (int i = 0; i < 50; i++) {
		io_prep_fdsync(&many[i], file);
		all[i] = &many[i];
	}
	expect(io_submit(ctx, 50, all), 50, "fifty at once");
	expect(reap(ctx, 50, 50, done), 50, "reaped");
	for (int i = 0; i < 50; i++)
		CHECK(event_res(&done[i]) == 0 && done[i].res2 == 0);

	/* A buffered write comes first, as it is done when the fsync is submitted. */
	io_prep_pwrite(&first, file, data, sizeof(data), 4096);
	io_prep_fsync(&sync, file);
	expect(io_submit(ctx, 2, list), 2, "write and fsync");
	expect(reap(ctx, 2, 2, events), 2, "reaped");
	CHECK(event_is_for(&events[0], &first) && event_res(&events[0]) == 4096);
	CHECK(event_is_for(&events[1], &sync) && event_res(&events[1]) == 0);
	end_context(ctx);
	return finish();
}
