/* only: uring: the kernel has no descriptors to replace, and the pool no ring */
/* Description: the program puts a file, or an io_uring of its own with entries that it has not
 * submitted, under the number of the library's ring: requests complete, and nothing of the
 * program's is touched. */
#include "own_io_uring.h"
#include "pending.h"

#define MANY 16
#define NOPS 5
#define SIZE (4 * PAGE)

static io_context_t ctx;
static int file;
static char *memory;
static struct own_ring own;

/* The number of an io_uring among the descriptors that is not the program's, or -1. */
static int find_ring(void)
{
	char path[64], target[64];

	for (int fd = 3; fd < 1024; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0 || fd == own.fd)
			continue;
		target[length] = 0;
		if (strcmp(target, "anon_inode:[io_uring]") == 0)
			return fd;
	}
	return -1;
}

static void submit_all(struct iocb iocbs[MANY], int resfd)
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		if (i % 8 == 7)
			io_prep_fdsync(&iocbs[i], file);
		else
			io_prep_pread(&iocbs[i], file, memory + i * PAGE, PAGE, i * (long)PAGE);
		if (resfd != -1)
			io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

static void check_results(const struct io_event *events, int got, const char *what)
{
	int good = 0;

	for (int i = 0; i < got; i++)
		good += event_res(&events[i]) ==
			(events[i].obj->aio_lio_opcode == IO_CMD_PREAD ? (long)PAGE : 0);
	expect(got, MANY, "%s: events", what);
	expect(good, MANY, "%s: good ones", what);
}

static void work(const char *what)
{
	struct iocb iocbs[MANY];
	struct io_event events[MANY];
	int resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));

	submit_all(iocbs, -1);
	check_results(events, reap(ctx, MANY, MANY, events), what);
	submit_all(iocbs, resfd);
	expect(take_counts(resfd, MANY), MANY, "%s: count", what);
	check_results(events, reap(ctx, MANY, MANY, events), what);
	close(resfd);
}

struct sleeper {
	int tid, got;
	struct io_event events[MANY];
};

static void *sleep_for_all(void *argument)
{
	struct sleeper *sleeper = argument;

	__atomic_store_n(&sleeper->tid, own_tid(), __ATOMIC_RELEASE);
	sleeper->got = reap(ctx, MANY, MANY, sleeper->events);
	return NULL;
}

/* With requests in flight or not, and under a sleeper or not. */
static void run(int other, const char *what, bool is_in_flight, bool has_sleeper)
{
	struct sleeper sleeper = { 0 };
	struct io_event events[MANY];
	struct iocb iocbs[MANY];
	pthread_t thread = 0;
	int ring, tid;

	ctx = new_context(2 * MANY);
	work("before");
	ring = find_ring();
	CHECK(ring != -1);
	if (ring == -1) {
		end_context(ctx);
		return;
	}
	if (has_sleeper) {
		thread = start(sleep_for_all, &sleeper);
		EVENTUALLY((tid = __atomic_load_n(&sleeper.tid, __ATOMIC_ACQUIRE)) && is_asleep(tid));
	}
	if (is_in_flight)
		submit_all(iocbs, -1);
	MUST(dup2(other, ring));
	if (!is_in_flight)
		submit_all(iocbs, -1);
	if (has_sleeper) {
		join(thread);
		check_results(sleeper.events, sleeper.got, what);
	} else {
		check_results(events, reap(ctx, MANY, MANY, events), what);
	}
	work("after");
	end_context(ctx);
	/* It is the program's number, to close. */
	struct stat one, two;

	MUST(fstat(other, &one));
	MUST(fstat(ring, &two));
	CHECK(one.st_dev == two.st_dev && one.st_ino == two.st_ino);
	MUST(close(ring));
}

int main(void)
{
	int stranger = scratch_filled("stranger", 0, SIZE, 's');
	char block[SIZE];
	struct stat status;

	memory = pages(MANY, PROT_READ | PROT_WRITE);
	file = scratch_direct("file", MANY * PAGE, 'f');
	for (int i = 0; i < 4; i++) {
		own = new_own_ring(16);
		for (unsigned k = 0; k < NOPS; k++)
			put_nop(&own, 1000 + k);
		run(stranger, "a file", i & 1, i & 2);
		run(own.fd, "an io_uring", i & 1, i & 2);
		expect(unsubmitted(&own), NOPS, "entries not submitted");
		expect(completed(&own), 0, "entries completed");
		/* It still works. */
		long submitted = syscall(SYS_io_uring_enter, own.fd, NOPS, NOPS,
					 IORING_ENTER_GETEVENTS, NULL, 0);

		expect(submitted, NOPS, "submitted by the program");
		expect(completed(&own), NOPS, "entries completed");
		close(own.fd);
	}
	expect(pread(stranger, block, sizeof(block), 0), SIZE, "the file");
	CHECK(filled_with(block, 's', SIZE));
	MUST(fstat(stranger, &status));
	expect(status.st_size, SIZE, "its size");
	expect(lseek(stranger, 0, SEEK_CUR), 0, "its offset");
	return finish();
}
