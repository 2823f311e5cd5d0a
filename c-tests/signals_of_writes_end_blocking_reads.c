/* Description: SIGXFSZ and SIGPIPE of a batch's writes, if caught, end the blocking transfers behind. */
#include "check.h"

#include <sys/resource.h>

static io_context_t ctx;

static void then_read(struct iocb *writing, const char *what)
{
	struct iocb reading, *list[] = { writing, &reading };
	struct io_event events[2];
	int empty[2];
	char byte;

	MUST(pipe2(empty, O_CLOEXEC));
	io_prep_pread(&reading, empty[0], &byte, 1, 0);
	expect(io_submit(ctx, 2, list), 2, "%s: io_submit", what);
	expect(reap(ctx, 2, 2, events), 2, "%s: reaped", what);
	for (int i = 0; i < 2; i++) {
		const struct io_event *event = &events[events[0].obj == list[i] ? 0 : 1];

		CHECK(event_is_for(event, list[i]));
		fact("%s: event %d: %s", what, i, code(event_res(event)));
		CHECK(i == 0 || event_res(event) == -EINTR);
	}
	fact("%s: SIGXFSZ %d, SIGPIPE %d", what, signals_seen[SIGXFSZ], signals_seen[SIGPIPE]);
	close(empty[0]);
	close(empty[1]);
}

static void broken(int flags, const char *what)
{
	struct iocb iocb;
	int pair[2];

	count_signal(SIGPIPE, flags);
	count_signal(SIGXFSZ, flags);
	fact("%s", what);
	MUST(pipe2(pair, O_CLOEXEC));
	close(pair[0]);
	io_prep_pwrite(&iocb, pair[1], "x", 1, 0);
	then_read(&iocb, "pipe");
	close(pair[1]);
	int both = MUST(open("fifo", O_RDWR | O_CLOEXEC));
	int writing = MUST(open("fifo", O_WRONLY | O_CLOEXEC));
	close(both);
	io_prep_pwrite(&iocb, writing, "x", 1, 0);
	then_read(&iocb, "FIFO");
	close(writing);
}

static void too_long(int flags, const char *what)
{
	static char block[4096] __attribute__((aligned(4096)));
	int file = scratch("file", O_TRUNC), appending = scratch("other", O_TRUNC | O_APPEND);
	int direct = scratch_direct("direct", 16384, 'x');
	struct rlimit old, limit;
	struct iocb iocb;

	count_signal(SIGXFSZ, flags);
	fact("%s", what);
	MUST(getrlimit(RLIMIT_FSIZE, &old));
	limit = old;
	limit.rlim_cur = 4096;
	MUST(ftruncate(appending, 4096));
	MUST(setrlimit(RLIMIT_FSIZE, &limit));
	io_prep_pwrite(&iocb, file, block, 8, 4096);
	then_read(&iocb, "file");
	io_prep_pwrite(&iocb, appending, block, 8, 0);
	then_read(&iocb, "end of a file");
	io_prep_pwrite(&iocb, direct, block, 4096, 8192);
	then_read(&iocb, "direct");
	MUST(setrlimit(RLIMIT_FSIZE, &old));
	close(file);
	close(appending);
	close(direct);
}

int main(void)
{
	ctx = new_context(16);
	alarm(20);
	MUST(mkfifo("fifo", 0600));
	broken(0, "no SA_RESTART");
	too_long(0, "no SA_RESTART");
	broken(SA_RESTART, "SA_RESTART");
	too_long(SA_RESTART, "SA_RESTART");
	end_context(ctx);
	return finish();
}
