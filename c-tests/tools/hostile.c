/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * hostile CASE
 *
 * Makes the process's environment hostile in one way, then wants all the work of smoke.h done.
 * Exit status: 0 done, 1 not done, 2 no such case, 77 this machine cannot be made hostile so.
 * Prints the file that io_submit came from. Works in the current directory.
 */
#include "smoke.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { SKIPPED = 77, NOBODY = 65534 };

static int skip(const char *reason)
{
	dprintf(2, "%s: %s\n", reason, strerror(errno));
	return SKIPPED;
}

/* Sets soft and hard limit, or the soft one only. */
static int limit(int resource, rlim_t value, int hard)
{
	struct rlimit limits;

	if (getrlimit(resource, &limits))
		return -1;
	limits.rlim_cur = value;
	if (hard)
		limits.rlim_max = value;
	return setrlimit(resource, &limits);
}

static int entries(const char *directory)
{
	DIR *open = opendir(directory);
	int count = 0;

	if (!open)
		return -1;
	while (readdir(open))
		count++;
	closedir(open);
	return count;
}

static int lines(const char *path)
{
	FILE *file = fopen(path, "r");
	int count = 0;

	if (!file)
		return -1;
	for (int c; (c = getc(file)) != EOF;)
		count += c == '\n';
	fclose(file);
	return count;
}

/* File descriptors, threads and mappings of this process. */
struct usage {
	int files;
	int threads;
	int mappings;
};

static struct usage usage(void)
{
	return (struct usage){ entries("/proc/self/fd"), entries("/proc/self/task"),
			       lines("/proc/self/maps") };
}

/* Idle threads leave after a moment: waits for that. */
static int gone(struct usage before)
{
	struct usage after = usage();

	for (int i = 0; i < 500 && after.threads != before.threads; i++) {
		usleep(10000);
		after = usage();
	}
	CHECK_EQ(after.files, before.files);
	CHECK_EQ(after.threads, before.threads);
	return 0;
}

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
	job->may_be_refused = SIGNALLED_POLLS_REFUSED;
	return smoke_run(job);
}

static int nobody_without_locked_memory(struct smoke *job)
{
	CHECK_EQ(limit(RLIMIT_MEMLOCK, 0, 1), 0);
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return skip("setresuid");
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

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
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

/* The program's own file under each number that the library took. */
static int descriptors_replaced(struct smoke *job)
{
	static char before[SMOKE_SIZE], after[SMOKE_SIZE];
	char taken[4096] = { 0 };
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
		taken[fd] = fcntl(fd, F_GETFD) != -1;
	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	for (int fd = 0; fd < 4096; fd++)
		if (!taken[fd] && fcntl(fd, F_GETFD) != -1)
			CHECK_EQ(dup2(precious, fd), fd);

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
	return 0;
}

static int alarms(struct smoke *job)
{
	struct sigaction action = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	struct itimerval timer = { { 0, 100 }, { 0, 100 } };
	struct iocb iocb;
	struct io_event event;
	io_context_t ctx = 0;
	int interrupted = 0;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int i = 0; i < 10000; i++) {
		int from = i % 2 ? job->source : job->source_buffered, n;

		io_prep_pread(&iocb, from, smoke_buffers[0], BLOCK, i % BLOCKS * BLOCK);
		iocb.data = (void *)(intptr_t)i;
		CHECK_EQ(smoke_submit(ctx, &iocb, 1), 0);
		while ((n = io_getevents(ctx, 1, 1, &event, NULL)) == -EINTR)
			interrupted++;
		CHECK_EQ(n, 1);
		CHECK_EQ(event.res, BLOCK);
		CHECK_EQ((intptr_t)event.data, i);
	}
	CHECK_EQ(smoke_on(ctx, job), 0);
	timer = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("%d signals, %d waits interrupted\n", (int)signals, interrupted);
	CHECK(signals > 100);
	return io_destroy(ctx);
}

static int all_signals_blocked(struct smoke *job)
{
	sigset_t all;

	sigfillset(&all);
	CHECK_EQ(sigprocmask(SIG_SETMASK, &all, NULL), 0);
	return smoke_run(job);
}

static int changed_user(struct smoke *job)
{
	if (seteuid(NOBODY) || seteuid(0))
		return skip("seteuid");
	/* Threads may be there now, and each must answer to the change. */
	CHECK_EQ(smoke_run(job), 0);
	CHECK_EQ(seteuid(NOBODY), 0);
	CHECK_EQ(smoke_run(job), 0);
	CHECK_EQ(seteuid(0), 0);
	CHECK_EQ(smoke_run(job), 0);
	/* Of this thread alone. */
	setfsuid(NOBODY);
	CHECK_EQ(smoke_run(job), 0);
	setfsuid(0);
	CHECK_EQ(setgid(NOBODY), 0);
	CHECK_EQ(setuid(NOBODY), 0);
	return smoke_run(job);
}

static int entered_user_namespace(struct smoke *job)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(unshare(CLONE_NEWUSER) ? errno : 0);
	CHECK_EQ(waitpid(child, &status, 0), child);
	if (status) {
		errno = WEXITSTATUS(status);
		return skip("unshare");
	}
	CHECK_EQ(smoke_run(job), 0);
	/* Refused while there is a second thread. */
	for (int i = 0; i < 500 && (status = unshare(CLONE_NEWUSER)); i++)
		usleep(10000);
	CHECK_EQ(status, 0);
	return smoke_run(job);
}

static int thousands_of_contexts(struct smoke *job)
{
	enum { CONTEXTS = 65000 };
	static io_context_t contexts[CONTEXTS];
	struct usage before = usage(), once = before;

	/* What the first round leaves, the second one uses again: no mapping is lost. */
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
	CHECK_EQ(usage().mappings, once.mappings);
	CHECK(once.mappings < before.mappings + 100);
	return smoke_run(job);
}

static int forked(struct smoke *job)
{
	io_context_t ctx = 0;
	struct iocb iocb, *list[] = { &iocb };
	int status;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	for (int i = 0; i < 100; i++) {
		struct iocb reads[BATCH];

		for (int k = 0; k < BATCH; k++)
			io_prep_pread(&reads[k], job->source, smoke_buffers[k], BLOCK, k * BLOCK);
		CHECK_EQ(smoke_submit(ctx, reads, BATCH), 0);
		pid_t child = fork();

		if (child == 0) {
			struct io_event event;

			io_prep_pread(&iocb, job->source, smoke_buffers[0], BLOCK, 0);
			_exit(io_submit(ctx, 1, list) != -EINVAL ||
			      io_getevents(ctx, 1, 1, &event, NULL) != -EINVAL ||
			      io_cancel(ctx, &iocb, &event) != -EINVAL ||
			      io_destroy(ctx) != -EINVAL || (i % 20 == 0 && smoke_run(job)));
		}
		CHECK(child > 0);
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK_EQ(status, 0);
		CHECK_EQ(smoke_reap(ctx, BATCH, BLOCK), 0);
	}
	CHECK_EQ(smoke_on(ctx, job), 0);
	return io_destroy(ctx);
}

static int spawned(struct smoke *job)
{
	char *arguments[] = { "true", NULL }, *environment[] = { NULL };
	io_context_t ctx = 0;
	struct iocb pending;
	int status;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	io_prep_poll(&pending, job->pipe[0], POLLIN);
	CHECK_EQ(smoke_submit(ctx, &pending, 1), 0);
	for (int i = 0; i < 100; i++) {
		pid_t child;

		if (i % 2) {
			CHECK_EQ(posix_spawnp(&child, "true", NULL, NULL, arguments, environment), 0);
		} else {
			child = vfork();
			if (child == 0) {
				/* Through the library's `syscall`, in the parent's memory. */
				syscall(SYS_getpid);
				execvp("true", arguments);
				_exit(127);
			}
		}
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK_EQ(status, 0);
		CHECK_EQ(smoke_copy(ctx, job->source, job->target), 0);
	}
	CHECK_EQ(io_cancel(ctx, &pending, NULL), -EINPROGRESS);
	CHECK_EQ(smoke_reap(ctx, 1, 0), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	return io_destroy(ctx);
}

/* What execve() left of a process that was at work; see replaced(). */
static int replacement(struct smoke *job)
{
	io_context_t old = (io_context_t)(uintptr_t)strtoul(getenv("HOSTILE_CONTEXT"), NULL, 16);
	struct iocb iocb, *list[] = { &iocb };

	CHECK_EQ(entries("/proc/self/fd"), atoi(getenv("HOSTILE_FILES")));
	io_prep_pread(&iocb, job->source, smoke_buffers[0], BLOCK, 0);
	CHECK_EQ(io_submit(old, 1, list), -EINVAL);
	CHECK_EQ(io_destroy(old), -EINVAL);
	return smoke_run(job);
}

static int replaced(struct smoke *job)
{
	int files = entries("/proc/self/fd");
	io_context_t ctx = 0;
	struct iocb pending[BATCH];
	char number[32];

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(smoke_on(ctx, job), 0);
	for (int i = 0; i < BATCH; i++) {
		io_prep_poll(&pending[i], job->pipe[0], POLLIN);
		if (i % 2)
			io_set_eventfd(&pending[i], job->event);
	}
	CHECK_EQ(smoke_submit(ctx, pending, BATCH), 0);
	snprintf(number, sizeof(number), "%lx", (unsigned long)(uintptr_t)ctx);
	setenv("HOSTILE_CONTEXT", number, 1);
	/* The files of smoke_prepare() stay open and are made once more. */
	snprintf(number, sizeof(number), "%d", files + 7);
	setenv("HOSTILE_FILES", number, 1);
	execl("/proc/self/exe", "hostile", "replacement", (char *)NULL);
	return skip("/proc/self/exe");
}

static void *on_small_stack(void *job)
{
	return (void *)(intptr_t)smoke_run(job);
}

static int small_stack(struct smoke *job)
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *status;

	pthread_attr_init(&attributes);
	CHECK_EQ(pthread_attr_setstacksize(&attributes, 32 << 10), 0);
	CHECK_EQ(pthread_create(&thread, &attributes, on_small_stack, (void *)job), 0);
	CHECK_EQ(pthread_join(thread, &status), 0);
	return (int)(intptr_t)status;
}

static const struct {
	const char *name;
	int (*run)(struct smoke *job);
} cases[] = {
#define CASE(name) { #name, name }
	CASE(nothing),
	CASE(no_file_descriptors),
	CASE(full_file_table),
	CASE(file_table_fills_up_later),
	CASE(no_standard_files),
	CASE(no_threads),
	CASE(nobody_without_locked_memory),
	CASE(locked_memory),
	CASE(address_space_of_64_megabytes),
	CASE(no_address_space),
	CASE(small_files_only),
	CASE(chroot_without_proc),
	CASE(closed_all_descriptors),
	CASE(descriptors_replaced),
	CASE(alarms),
	CASE(all_signals_blocked),
	CASE(changed_user),
	CASE(entered_user_namespace),
	CASE(thousands_of_contexts),
	CASE(forked),
	CASE(spawned),
	CASE(replaced),
	CASE(replacement),
	CASE(small_stack),
};

int main(int argc, char **argv)
{
	struct smoke job;
	Dl_info info;

	if (dladdr((void *)(uintptr_t)io_submit, &info))
		dprintf(1, "library %s\n", info.dli_fname);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name))
			return smoke_prepare(&job) ? 1 : cases[i].run(&job);
	dprintf(2, "usage: hostile CASE\n");
	return 2;
}
