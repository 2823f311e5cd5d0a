/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * faults CALL ERROR [DENSE | once]
 *
 * Does a job of all operations in a process, with the first of the library's calls CALL failing with
 * ERROR; then again with the second one; and so on, until a run is clean. CALL is a system call's
 * number, or -1 for the creation of threads; ERROR an error number, or 0 for a short transfer. After
 * the first DENSE it goes on in growing steps. The library must be one with the feature
 * `fault-injection`.
 *
 * With `once` it works once, on any library: somebody else makes the call fail.
 *
 * Whatever fails: each iocb that was
 * accepted has one event, with its own data; each eventfd counts right; what is refused is refused with
 * errors of kernel AIO; and neither descriptors nor threads are left.
 *
 * Prints how many faults were injected. Exit status: 0 all survived, 1 not, 2 usage.
 */
#include "faults.h"

#include <time.h>

enum { LIMIT_SECONDS = 30, PIPES = 5 };

/* <linux/aio_abi.h>, IOCB_FLAG_IOPRIO, and its class: best effort. */
enum { FLAG_IOPRIO = 2, PRIORITY = 2 << 13 | 4 };

static int prep(struct operation *operation, long wanted)
{
	memset(operation, 0, sizeof(*operation));
	operation->wanted = wanted;
	return 0;
}

/* The bytes of the source at `offset`, unless the fault was a transfer's own. */
static int check_block(const struct smoke *job, const char *block, long long offset)
{
	static char right[BLOCK];

	if (was_injected() && is_transfer())
		return 0;
	CHECK_EQ(pread(job->source_buffered, right, BLOCK, offset), BLOCK);
	CHECK(!memcmp(right, block, BLOCK));
	return 0;
}

static int transfers(io_context_t ctx, const struct smoke *job, int source, int target)
{
	static char blocks[BATCH][BLOCK] __attribute__((aligned(BLOCK)));
	struct iovec halves[2] = { { blocks[3], BLOCK / 2 }, { blocks[3] + BLOCK / 2, BLOCK / 2 } };
	struct operation operations[BATCH];

	for (int i = 0; i < 4; i++) {
		prep(&operations[i], BLOCK);
		io_prep_pread(&operations[i].iocb, source, blocks[i], BLOCK, i * BLOCK);
	}
	io_prep_preadv(&operations[3].iocb, source, halves, 2, 3 * BLOCK);
	io_set_eventfd(&operations[2].iocb, job->event);
	if (run_all(ctx, operations, 4) || counted(job->event, 1))
		return 1;
	for (int i = 0; i < 4; i++)
		if (check_block(job, blocks[i], i * BLOCK))
			return 1;
	for (int i = 0; i < 4; i++) {
		prep(&operations[i], BLOCK);
		io_prep_pwrite(&operations[i].iocb, target, blocks[i], BLOCK, i * BLOCK);
	}
	io_set_eventfd(&operations[0].iocb, job->event);
	for (int i = 4; i < 6; i++) {
		prep(&operations[i], 0);
		if (i == 4)
			io_prep_fsync(&operations[i].iocb, target);
		else
			io_prep_fdsync(&operations[i].iocb, target);
	}
	if (run_all(ctx, operations, 6) || counted(job->event, 1))
		return 1;
	return 0;
}

static int polls(io_context_t ctx, const struct smoke *job)
{
	struct operation operations[BATCH];
	struct io_event event;
	int pipes[PIPES][2], other = eventfd(0, EFD_NONBLOCK);
	char byte = 'x';

	CHECK(other >= 0);
	for (int i = 0; i < PIPES; i++) {
		CHECK_EQ(pipe(pipes[i]), 0);
		prep(&operations[i], POLLIN);
		io_prep_poll(&operations[i].iocb, pipes[i][0], POLLIN);
	}
	/* Two on one file; one that signals. */
	operations[4].iocb.aio_fildes = (uint32_t)pipes[3][0];
	prep(&operations[5], POLLIN);
	io_prep_poll(&operations[5].iocb, other, POLLIN);
	if (submit_all(ctx, operations, 6))
		return 1;
	for (int i = 0; i < PIPES; i++)
		CHECK_EQ(write(pipes[i][1], &byte, 1), 1);
	CHECK_EQ(eventfd_write(other, 1), 0);
	if (reap_all(ctx, operations, 6))
		return 1;
	/* Ready at submission, then not; with an eventfd. */
	if (run_all(ctx, operations, 1))
		return 1;
	CHECK_EQ(read(pipes[0][0], &byte, 1), 1);
	io_set_eventfd(&operations[0].iocb, job->event);
	if (submit_all(ctx, operations, 1))
		return 1;
	CHECK_EQ(write(pipes[0][1], &byte, 1), 1);
	if (counted(job->event, 1) || reap_all(ctx, operations, 1))
		return 1;
	/* Cancelled, or pending until there is something. */
	CHECK_EQ(read(pipes[1][0], &byte, 1), 1);
	if (submit_all(ctx, &operations[1], 1))
		return 1;
	operations[1].wanted = 0;
	if (io_cancel(ctx, &operations[1].iocb, &event) != -EINPROGRESS) {
		CHECK(was_injected());
		CHECK_EQ(write(pipes[1][1], &byte, 1), 1);
	}
	if (reap_all(ctx, &operations[1], 1))
		return 1;
	for (int i = 0; i < PIPES; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	close(other);
	return 0;
}

static int streams(io_context_t ctx)
{
	static char text[512], room[sizeof(text)];
	struct operation operations[2];
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	prep(&operations[0], sizeof(text));
	io_prep_pwrite(&operations[0].iocb, ends[1], text, sizeof(text), 0);
	prep(&operations[1], sizeof(room));
	io_prep_pread(&operations[1].iocb, ends[0], room, sizeof(room), 0);
	/* What a failed write would leave the read waiting for. */
	CHECK_EQ(write(ends[1], text, sizeof(text)), sizeof(text));
	if (run_all(ctx, operations, 2))
		return 1;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* Nothing to move; nobody to read it; an eventfd for two at a time; a priority. */
static int oddities(io_context_t ctx, const struct smoke *job)
{
	static char block[BLOCK] __attribute__((aligned(BLOCK)));
	struct operation operations[4];
	int ends[2], messages[2];
	char byte = 'x';

	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, messages), 0);
	prep(&operations[0], 0);
	io_prep_pread(&operations[0].iocb, job->source_buffered, block, 0, 0);
	prep(&operations[1], 0);
	io_prep_pwrite(&operations[1].iocb, job->source_buffered, block, 0, 0);
	prep(&operations[2], 0);
	io_prep_pwrite(&operations[2].iocb, messages[0], block, 0, 0);
	prep(&operations[3], BLOCK);
	io_prep_pread(&operations[3].iocb, job->source, block, BLOCK, 0);
	operations[3].iocb.aio_reqprio = PRIORITY;
	operations[3].iocb.u.c.flags = FLAG_IOPRIO;
	if (run_all(ctx, operations, 4))
		return 1;

	for (int i = 0; i < 2; i++) {
		prep(&operations[i], POLLIN);
		io_prep_poll(&operations[i].iocb, i ? messages[1] : ends[0], POLLIN);
		io_set_eventfd(&operations[i].iocb, job->event);
	}
	/* The message of nothing is there. */
	CHECK(recv(messages[1], block, sizeof(block), MSG_DONTWAIT) == 0 || was_injected());
	if (submit_all(ctx, operations, 2))
		return 1;
	CHECK_EQ(write(ends[1], &byte, 1), 1);
	CHECK_EQ(send(messages[0], &byte, 1, 0), 1);
	if (reap_all(ctx, operations, 2) || counted(job->event, 2))
		return 1;

	signal(SIGPIPE, SIG_IGN);
	close(ends[0]);
	close(messages[1]);
	prep(&operations[0], -EPIPE);
	io_prep_pwrite(&operations[0].iocb, ends[1], block, 1, 0);
	if (run_all(ctx, operations, 1))
		return 1;
	close(ends[1]);
	close(messages[0]);
	return 0;
}

struct sleeper {
	io_context_t ctx;
	struct operation operation;
	int status;
};

static void *sleeper_waits(void *argument)
{
	struct sleeper *sleeper = argument;
	struct timespec limit = { 10, 0 };
	struct io_event event;
	int n;

	do
		n = io_getevents(sleeper->ctx, 1, 1, &event, &limit);
	while (is_passed_on(n));
	sleeper->status = n == 1 && event.obj == &sleeper->operation.iocb ? 0 : 1;
	if (sleeper->status)
		dprintf(2, "the sleeper got %d\n", n);
	return NULL;
}

/* An event for a thread that sleeps. */
static int sleepers(io_context_t ctx, const struct smoke *job)
{
	static char block[BLOCK] __attribute__((aligned(BLOCK)));
	struct sleeper sleeper = { .ctx = ctx };
	char byte = 'x';

	for (int i = 0; i < 2; i++) {
		pthread_t thread;

		prep(&sleeper.operation, i ? POLLIN : BLOCK);
		if (i)
			io_prep_poll(&sleeper.operation.iocb, job->pipe[0], POLLIN);
		else
			io_prep_pread(&sleeper.operation.iocb, job->source, block, BLOCK, 0);
		CHECK_EQ(pthread_create(&thread, NULL, sleeper_waits, &sleeper), 0);
		usleep(500);
		if (submit_all(ctx, &sleeper.operation, 1))
			return 1;
		usleep(500);
		if (i)
			CHECK_EQ(write(job->pipe[1], &byte, 1), 1);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(sleeper.status, 0);
		if (i)
			CHECK_EQ(read(job->pipe[0], &byte, 1), 1);
	}
	return 0;
}

static int waits(io_context_t ctx, const struct smoke *job)
{
	struct timespec moment = { 0, 1000000 };
	struct operation operation;
	struct io_event event;
	sigset_t mask;
	char byte = 'x';
	int n;

	sigemptyset(&mask);
	prep(&operation, POLLIN);
	io_prep_poll(&operation.iocb, job->pipe[0], POLLIN);
	for (int i = 0; i < 2; i++) {
		n = io_getevents(ctx, 1, 1, &event, &moment);
		CHECK(n == 0 || is_passed_on(n));
		n = io_pgetevents(ctx, 1, 1, &event, &moment, &mask);
		CHECK(n == 0 || is_passed_on(n));
		if (i == 0 && submit_all(ctx, &operation, 1))
			return 1;
	}
	CHECK_EQ(write(job->pipe[1], &byte, 1), 1);
	if (reap_all(ctx, &operation, 1))
		return 1;
	CHECK_EQ(read(job->pipe[0], &byte, 1), 1);
	return 0;
}

/* Many direct reads at once, waited for beside a poll that is cancelled then. */
static int crowd(const struct smoke *job)
{
	static char block[BLOCK] __attribute__((aligned(BLOCK)));
	static struct operation operations[MOST];
	static struct io_event events[MOST];
	struct timespec limit = { 10, 0 };
	io_context_t ctx = 0;
	int left = MOST - 1, error = io_setup(MOST, &ctx);
	char byte = 'x';

	if (error && was_injected())
		error = io_setup(MOST, &ctx);
	CHECK_EQ(error, 0);
	for (int i = 0; i < MOST; i++) {
		prep(&operations[i], i ? BLOCK : POLLIN);
		if (i)
			io_prep_pread(&operations[i].iocb, job->source, block, BLOCK,
				      i % BLOCKS * BLOCK);
		else
			io_prep_poll(&operations[i].iocb, job->pipe[0], POLLIN);
	}
	if (submit_all(ctx, operations, MOST))
		return 1;
	while (left > 0) {
		int n = io_getevents(ctx, left, left, events, &limit);

		if (is_passed_on(n))
			continue;
		if (n <= 0)
			CHECK_EQ(n, left);
		left -= n;
		for (int i = 0; i < n; i++)
			if (complete(&events[i]))
				return 1;
	}
	/* Whoever looked at the polls in the kernel's place does so until the end. */
	operations[0].wanted = 0;
	if (io_cancel(ctx, &operations[0].iocb, events) == -EINPROGRESS)
		return reap_all(ctx, operations, MOST) || io_destroy(ctx);
	CHECK(was_injected());
	CHECK_EQ(write(job->pipe[1], &byte, 1), 1);
	if (reap_all(ctx, operations, MOST))
		return 1;
	CHECK_EQ(read(job->pipe[0], &byte, 1), 1);
	return io_destroy(ctx);
}

/* io_destroy while requests are in flight. */
static int leave(io_context_t ctx, const struct smoke *job)
{
	static char block[BLOCK] __attribute__((aligned(BLOCK)));
	struct operation operations[3];

	prep(&operations[0], BLOCK);
	io_prep_pread(&operations[0].iocb, job->source, block, BLOCK, 0);
	io_set_eventfd(&operations[0].iocb, job->event);
	prep(&operations[1], POLLIN);
	io_prep_poll(&operations[1].iocb, job->pipe[0], POLLIN);
	prep(&operations[2], 0);
	io_prep_fsync(&operations[2].iocb, job->target);
	if (submit_all(ctx, operations, 3))
		return 1;
	CHECK_EQ(io_destroy(ctx), 0);
	return counted(job->event, 1);
}

static int set_up(io_context_t *ctx)
{
	int error = io_setup(2 * BATCH, ctx);

	if (error && was_injected()) {
		CHECK(error == -ENOMEM || error == -EAGAIN);
		CHECK(!*ctx);
		error = io_setup(2 * BATCH, ctx);
	}
	CHECK_EQ(error, 0);
	return 0;
}

static int work(const struct smoke *job)
{
	io_context_t ctx = 0;

	return set_up(&ctx) ||
	       transfers(ctx, job, job->source_buffered, job->target_buffered) ||
	       transfers(ctx, job, job->source, job->target) || polls(ctx, job) || streams(ctx) || oddities(ctx, job) ||
	       waits(ctx, job) || sleepers(ctx, job) || crowd(job) || leave(ctx, job);
}

/* Threads of ours, not the kernel's workers for them, which stay for seconds. */
static int own_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = 0;

	for (struct dirent *task; tasks && (task = readdir(tasks));) {
		char path[300], name[32] = "";
		FILE *file;

		if (task->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && strncmp(name, "iou-", 4))
			count++;
		fclose(file);
	}
	closedir(tasks);
	return count;
}

/* In a process of its own, in which the library has not been used. */
static int run(const struct smoke *job)
{
	int files = usage().files, threads = 0;

	/* Twice: what the first one has broken shows in the second one. */
	for (int i = 0; i < 2; i++)
		if (work(job))
			return 1;
	for (int i = 0; i < 300 && (threads = own_threads()) != 1; i++)
		usleep(10000);
	CHECK_EQ(threads, 1);
	CHECK_EQ(usage().files, files);
	return 0;
}

/* What a run that failed has left in the files that all runs share. */
static void drain(const struct smoke *job)
{
	struct pollfd some = { job->pipe[0], POLLIN, 0 };
	eventfd_t count;
	char byte;

	while (poll(&some, 1, 0) > 0 && read(job->pipe[0], &byte, 1) == 1)
		;
	eventfd_read(job->event, &count);
}

/* Waits for a child, which is killed when it takes too long. 0: it has succeeded. */
static int ended_well(pid_t child)
{
	int status;
	time_t start = time(NULL);

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (time(NULL) - start > LIMIT_SECONDS) {
			dprintf(2, "hangs\n");
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return 0;
		}
		usleep(500);
	}
	if (WIFSIGNALED(status))
		dprintf(2, "signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	unsigned dense = argc == 4 ? (unsigned)atoi(argv[3]) : 1u << 20;
	unsigned injected = 0, failed = 0;
	struct smoke job;
	char address[32];

	if (argc < 3 || smoke_prepare(&job))
		return 2;
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (plan == MAP_FAILED)
		return 2;
	if (argc == 4 && !strcmp(argv[3], "once")) {
		*plan = (struct plan){ atoi(argv[1]), 0, atoi(argv[2]), 0, 1 };
		return run(&job);
	}
	snprintf(address, sizeof(address), "%zu", (size_t)plan);
	setenv("UAIO_FAULTS", address, 1);
	for (unsigned nth = 1;; nth += nth < dense ? 1 : 1 + nth / dense) {
		*plan = (struct plan){ atoi(argv[1]), nth, atoi(argv[2]), 0, 0 };
		drain(&job);
		pid_t child = fork();

		if (child == 0)
			_exit(run(&job));
		if (!ended_well(child)) {
			dprintf(2, "call %s, error %s, number %u of %u\n", argv[1], argv[2], nth,
				plan->seen);
			failed++;
		}
		if (!plan->injected)
			break;
		injected++;
		if (failed >= 5)
			break;
	}
	printf("injected %u survived %u\n", injected, injected - (failed < injected ? failed : injected));
	return failed != 0;
}
