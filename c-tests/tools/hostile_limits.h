/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Cases of hostile.c: too little of something, or what the library had is gone. */
#include "hostile.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int nothing(struct smoke *job)
{
	struct usage before = usage();

	CHECK_EQ(smoke_run(job), 0);
	return gone(before);
}

static int no_file_descriptors(struct smoke *job)
{
	io_context_t ctx = 0;

	job->may_be_refused = POLLS_REFUSED;
	/* Numbers above the limit stay usable. */
	CHECK_EQ(limit(RLIMIT_NOFILE, 3, 0), 0);
	CHECK_EQ(open("/dev/null", O_RDONLY), -1);
	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(io_destroy(ctx), 0);
	return smoke_run(job);
}

static int full_file_table(struct smoke *job)
{
	job->may_be_refused = POLLS_REFUSED;
	CHECK_EQ(limit(RLIMIT_NOFILE, 64, 0), 0);
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	CHECK_EQ(errno, EMFILE);
	return smoke_run(job);
}

static int file_table_fills_up_later(struct smoke *job)
{
	io_context_t ctx = 0;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	job->may_be_refused = POLLS_REFUSED;
	CHECK_EQ(limit(RLIMIT_NOFILE, 64, 0), 0);
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	CHECK_EQ(smoke_on(ctx, job), 0);
	CHECK_EQ(io_destroy(ctx), 0);
	return smoke_run(job);
}

static int file_table_full_before_the_first_request(struct smoke *job)
{
	io_context_t ctx = 0;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	job->may_be_refused = POLLS_REFUSED;
	CHECK_EQ(limit(RLIMIT_NOFILE, 64, 0), 0);
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	CHECK_EQ(smoke_on(ctx, job), 0);
	CHECK_EQ(io_destroy(ctx), 0);
	return smoke_run(job);
}

/* From one that is left to a dozen. */
static int few_file_descriptors(struct smoke *job)
{
	enum { MOST = 12 };
	int fd, last = -1;

	job->may_be_refused = POLLS_REFUSED;
	CHECK_EQ(limit(RLIMIT_NOFILE, 64, 0), 0);
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	CHECK_EQ(last, 63);
	for (int left = 1; left <= MOST; left++) {
		io_context_t ctx = 0;

		CHECK_EQ(io_setup(BATCH, &ctx), 0);
		CHECK_EQ(smoke_on(ctx, job), 0);
		close(last - left + 1);
		/* The context goes on with what it has, and with one more. */
		CHECK_EQ(smoke_on(ctx, job), 0);
		CHECK_EQ(io_destroy(ctx), 0);
		CHECK_EQ(smoke_run(job), 0);
		CHECK_EQ(fcntl(last - left + 1, F_GETFD), -1);
	}
	return 0;
}

static int no_standard_files(struct smoke *job)
{
	int standard_error = fcntl(2, F_DUPFD, 100), status;

	CHECK(standard_error >= 0);
	close(0);
	close(1);
	close(2);
	status = smoke_run(job);
	/* Nobody may have taken the numbers that programs print to. */
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			status = 1;
	dup2(standard_error, 2);
	CHECK_EQ(status, 0);
	return 0;
}

static void *nothing_to_do(void *argument)
{
	return argument;
}

static int no_threads(struct smoke *job)
{
	pthread_t thread;

	if (setresuid(NOBODY, NOBODY, NOBODY))
		return skip("setresuid");
	CHECK_EQ(limit(RLIMIT_NPROC, 0, 1), 0);
	CHECK_EQ(pthread_create(&thread, NULL, nothing_to_do, NULL), EAGAIN);
	/* Each of them needs the thread where the ring is always served. */
	job->may_be_refused = getenv("UAIO_RING") ? POLLS_REFUSED : SIGNALLED_POLLS_REFUSED;
	return smoke_run(job);
}

static int nobody_without_locked_memory(struct smoke *job)
{
	CHECK_EQ(limit(RLIMIT_MEMLOCK, 0, 1), 0);
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return skip("setresuid");
	CHECK_EQ(smoke_run(job), 0);

	io_context_t contexts[32] = { 0 };

	for (int i = 0; i < 32; i++) {
		CHECK_EQ(io_setup(BATCH, &contexts[i]), 0);
		CHECK_EQ(smoke_on(contexts[i], job), 0);
	}
	for (int i = 0; i < 32; i++)
		CHECK_EQ(io_destroy(contexts[i]), 0);
	return smoke_run(job);
}

static int locked_memory(struct smoke *job)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return skip("mlockall");
	return smoke_run(job);
}

static int address_space_of_64_megabytes(struct smoke *job)
{
	CHECK_EQ(limit(RLIMIT_AS, 64 << 20, 0), 0);
	return smoke_run(job);
}

static int no_address_space(struct smoke *job)
{
	struct rlimit before;
	io_context_t ctx = 0;

	CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
	CHECK_EQ(limit(RLIMIT_AS, 0, 0), 0);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK_EQ(io_setup(BATCH, &ctx), -ENOMEM);
	CHECK(ctx == 0);
	CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
	return smoke_run(job);
}

static int small_files_only(struct smoke *job)
{
	struct iocb iocb;
	io_context_t ctx = 0;

	/* A context is not a file. */
	CHECK_EQ(limit(RLIMIT_FSIZE, 0, 0), 0);
	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(limit(RLIMIT_FSIZE, SMOKE_SIZE, 0), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	CHECK_EQ(smoke_run(job), 0);

	int targets[] = { job->target, job->target_buffered };
	signal(SIGXFSZ, count_signal);
	for (int i = 0; i < 2; i++) {
		io_prep_pwrite(&iocb, targets[i], smoke_buffers[0], BLOCK, SMOKE_SIZE);
		CHECK_EQ(smoke_submit(ctx, &iocb, 1), 0);
		CHECK_EQ(signals, i + 1);
		CHECK_EQ(smoke_reap(ctx, 1, -EFBIG), 0);
	}
	return 0;
}

static int chroot_without_proc(struct smoke *job)
{
	if (mkdir("root", 0777) || chroot("root") || chdir("/"))
		return skip("chroot");
	CHECK_EQ(access("/proc", F_OK), -1);
	return smoke_run(job);
}

static int closed_all_descriptors(struct smoke *job)
{
	struct smoke again = *job;
	io_context_t old = 0, idle = 0;

	CHECK_EQ(io_setup(BATCH, &idle), 0);
	CHECK_EQ(io_setup(BATCH, &old), 0);
	CHECK_EQ(smoke_on(old, job), 0);
	if (syscall(SYS_close_range, 3, ~0U, 0))
		return skip("close_range");
	/* The files' own numbers now, and nobody else's. */
	CHECK_EQ(smoke_prepare(&again), 0);
	CHECK_EQ(smoke_on(idle, &again), 0);
	CHECK_EQ(smoke_on(old, &again), 0);
	CHECK_EQ(io_destroy(old), 0);
	CHECK_EQ(io_destroy(idle), 0);
	return smoke_run(&again);
}

/* Addresses that are no contexts, though a number that may be one's stands there. */
static int strangers(struct smoke *job)
{
	static unsigned ring[2048] __attribute__((aligned(4096)));
	struct io_event event;
	struct iocb *none[1] = { NULL };
	struct timespec now = { 0, 0 };
	io_context_t ctx = NULL;

	CHECK_EQ(io_setup(8, &ctx), 0);
	for (unsigned id = 0; id < 4; id++) {
		ring[0] = id;
		ring[1] = 127;
		CHECK_EQ(io_submit((io_context_t)ring, 0, none), -EINVAL);
		CHECK_EQ(io_getevents((io_context_t)ring, 1, 1, &event, &now), -EINVAL);
		CHECK_EQ(io_destroy((io_context_t)ring), -EINVAL);
	}
	CHECK_EQ(io_destroy(ctx), 0);
	CHECK_EQ(smoke_run(job), 0);
	return 0;
}

/* The program's own file under each number that the library took. */
static int descriptors_replaced(struct smoke *job)
{
	static char before[SMOKE_SIZE], after[SMOKE_SIZE];
	char replaced[4096] = { 0 };
	struct timespec second = { 1, 0 };
	struct io_event events[BATCH];
	struct iocb iocb;
	io_context_t ctx = 0;
	struct stat status;
	int precious = open("precious", O_RDWR | O_CREAT | O_TRUNC, 0666);

	CHECK(precious >= 0);
	memset(before, 'p', sizeof(before));
	CHECK_EQ(write(precious, before, sizeof(before)), sizeof(before));
	for (int fd = 0; fd < 4096; fd++)
		replaced[fd] = fcntl(fd, F_GETFD) == -1;
	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	for (int fd = 0; fd < 4096; fd++) {
		replaced[fd] &= fcntl(fd, F_GETFD) != -1;
		if (replaced[fd])
			CHECK_EQ(dup2(precious, fd), fd);
	}

	/* This context may have lost its polls: an error will do, waiting for ever will not. */
	io_prep_poll(&iocb, job->pipe[0], POLLIN);
	struct iocb *list[] = { &iocb };
	if (io_submit(ctx, 1, list) == 1) {
		CHECK_EQ(write(job->pipe[1], "x", 1), 1);
		io_getevents(ctx, 1, 1, events, &second);
		CHECK_EQ(read(job->pipe[0], before, 1), 1);
		before[0] = 'p';
	}
	CHECK_EQ(smoke_copy(ctx, job->source, job->target), 0);
	CHECK_EQ(io_destroy(ctx), 0);
	CHECK_EQ(smoke_run(job), 0);
	CHECK_EQ(pread(precious, after, sizeof(after), 0), sizeof(after));
	CHECK(!memcmp(before, after, sizeof(before)));
	CHECK_EQ(fstat(precious, &status), 0);
	CHECK_EQ(status.st_size, sizeof(before));
	CHECK_EQ(lseek(precious, 0, SEEK_CUR), sizeof(before));
	/* They are the program's numbers, to close as well. */
	for (int fd = 0; fd < 4096; fd++)
		CHECK(!replaced[fd] || fcntl(fd, F_GETFD) != -1);
	return 0;
}

static int thousands_of_contexts(struct smoke *job)
{
	enum { CONTEXTS = 65000 };
	static io_context_t contexts[CONTEXTS];
	struct usage before = usage(), once = before;

	/*
	 * What the first round leaves mapped, the second one uses again. A few more or less come
	 * from neighbours that the kernel merges, and from stacks that the C library keeps.
	 */
	for (int round = 0; round < 2; round++) {
		memset(contexts, 0, sizeof(contexts));
		for (int i = 0; i < CONTEXTS; i++)
			CHECK_EQ(io_setup(1, &contexts[i]), 0);
		CHECK_EQ(usage().files, before.files);
		CHECK_EQ(usage().threads, before.threads);
		CHECK_EQ(smoke_run(job), 0);
		for (int i = 0; i < CONTEXTS; i++)
			CHECK_EQ(io_destroy(contexts[i]), 0);
		CHECK_EQ(gone(before), 0);
		if (round == 0)
			once = usage();
	}
	CHECK(once.mappings < before.mappings + 100);
	CHECK(usage().mappings < once.mappings + 20);
	return smoke_run(job);
}

/* Each of them has done direct I/O, and the program still needs descriptors for its own files. */
static int more_contexts_at_work_than_descriptors(struct smoke *job)
{
	enum { CONTEXTS = 2000, OWN = 100 };
	static io_context_t contexts[CONTEXTS];
	struct usage before = usage();
	int own[OWN];

	CHECK_EQ(limit(RLIMIT_NOFILE, 1024, 0), 0);
	for (int i = 0; i < CONTEXTS; i++) {
		struct iocb reads[BATCH];

		CHECK_EQ(io_setup(BATCH, &contexts[i]), 0);
		for (int k = 0; k < BATCH; k++)
			io_prep_pread(&reads[k], job->source, smoke_buffers[k], BLOCK, k * BLOCK);
		CHECK_EQ(smoke_submit(contexts[i], reads, BATCH), 0);
		CHECK_EQ(smoke_reap(contexts[i], BATCH, BLOCK), 0);
	}
	for (int i = 0; i < OWN; i++) {
		own[i] = open("/dev/null", O_RDONLY);
		CHECK(own[i] >= 0);
	}
	for (int i = 0; i < CONTEXTS; i += 100)
		CHECK_EQ(smoke_on(contexts[i], job), 0);
	for (int i = 0; i < OWN; i++)
		close(own[i]);
	for (int i = 0; i < CONTEXTS; i++)
		CHECK_EQ(io_destroy(contexts[i]), 0);
	/* One thread may be at it still: the kernel takes 30 ms for each that it has made. */
	for (int i = 0; i < 500 && usage().threads > before.threads + 1; i++)
		usleep(10000);
	CHECK(usage().threads <= before.threads + 1);
	CHECK_EQ(usage().files, before.files);
	return 0;
}
