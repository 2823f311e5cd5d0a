/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Cases of hostile.c: signals, users, small stacks; fork and exec. */
#include "hostile.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

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
