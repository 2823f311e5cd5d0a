/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * refused WHEN WHERE ERROR ALLOWANCE CALL...
 *
 * Has system calls refused and then wants all the work of smoke.h and streams.h done. WHEN: `start`, before
 * the first call of the library; `later`, when it has done the same once, and with a poll pending.
 * WHERE: `library`, calls of the library only; `anywhere`, those of the C library too. ERROR and
 * CALL are numbers. ALLOWANCE: `nothing`; `signalled_polls` may be refused, those with an eventfd;
 * `polls` may be, all of them; `workers` of the kernel may stay, `contexts` cannot be made; there are no
 * `eventfds`, with which a context becomes the kernel's own, so that what is refused there is refused to
 * the program; `cancels` may fail as well, later, of what the kernel's AIO has. Exit status: 0 done, 1 not done, 2 usage, 77 no such filter. Works in the current
 * directory.
 */
#include "hostile.h"
#include "sandbox.h"
#include "streams.h"

#include <dlfcn.h>
#include <pthread.h>

struct sandbox {
	int calls[SANDBOX_CALLS];
	int count;
	int error;
	int is_anywhere;
	enum smoke_refusal polls;
	int workers_may_stay;
	int is_without_contexts;
};

/* The program can make threads of its own. */
static int has_threads = 1;

static int work_on(io_context_t ctx, const struct smoke *job)
{
	return smoke_on(ctx, job) || smoke_more_on(ctx, job) ||
	       (has_threads && smoke_sleepers(ctx, job));
}

static int work(const struct smoke *job)
{
	io_context_t ctx = 0;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(work_on(ctx, job), 0);
	CHECK_EQ(io_destroy(ctx), 0);
	CHECK_EQ(io_destroy(ctx), -EINVAL);
	return 0;
}

static int begin(const struct sandbox *sandbox, struct smoke *job)
{
	if (refuse(sandbox->calls, sandbox->count, sandbox->error, sandbox->is_anywhere))
		return skip("seccomp");
	job->may_be_refused = sandbox->polls;
	job->rings_stay = sandbox->is_without_contexts;
	has_threads = !sandbox->is_anywhere;
	return 0;
}

static int end(const struct sandbox *sandbox, struct usage before)
{
	if (!sandbox->workers_may_stay)
		return gone(before);
	CHECK_EQ(usage().files, before.files);
	return 0;
}

static int from_the_start(const struct sandbox *sandbox, struct smoke *job)
{
	struct usage before = usage();
	int status = begin(sandbox, job);

	if (status)
		return status;
	if (sandbox->is_without_contexts) {
		io_context_t ctx = 0;

		CHECK_EQ(io_setup(BATCH, &ctx), -ENOMEM);
		CHECK(!ctx);
		return gone(before);
	}
	CHECK_EQ(work(job), 0);
	CHECK_EQ(work(job), 0);
	return end(sandbox, before);
}

static int later(const struct sandbox *sandbox, struct smoke *job)
{
	struct usage before = usage();
	io_context_t ctx = 0;
	struct io_event event;
	struct iocb poll, *list[] = { &poll };
	int pair[2], status, n;

	CHECK_EQ(io_setup(BATCH, &ctx), 0);
	CHECK_EQ(work_on(ctx, job), 0);
	CHECK_EQ(pipe(pair), 0);
	io_prep_poll(&poll, pair[0], POLLIN);
	CHECK_EQ(io_submit(ctx, 1, list), 1);
	status = begin(sandbox, job);
	if (status)
		return status;
	/* What was accepted completes. */
	CHECK_EQ(write(pair[1], "x", 1), 1);
	while ((n = io_getevents(ctx, 1, 1, &event, NULL)) == -EINTR)
		;
	CHECK_EQ(n, 1);
	CHECK(event.obj == &poll && (event.res & POLLIN));
	close(pair[0]);
	close(pair[1]);
	CHECK_EQ(work_on(ctx, job), 0);
	CHECK_EQ(io_destroy(ctx), 0);
	if (!sandbox->is_without_contexts)
		CHECK_EQ(work(job), 0);
	return end(sandbox, before);
}

int main(int argc, char **argv)
{
	struct sandbox sandbox = { .count = argc - 5 };
	struct smoke job;
	Dl_info info;

	stay_within_4_gigabytes(argv);
	if (dladdr((void *)(uintptr_t)io_submit, &info))
		dprintf(1, "library %s\n", info.dli_fname);
	if (argc < 6 || sandbox.count > SANDBOX_CALLS) {
		dprintf(2, "usage: refused WHEN WHERE ERROR ALLOWANCE CALL...\n");
		return 2;
	}
	sandbox.is_anywhere = !strcmp(argv[2], "anywhere");
	sandbox.error = atoi(argv[3]);
	sandbox.polls = !strcmp(argv[4], "polls")	    ? POLLS_REFUSED :
			!strcmp(argv[4], "signalled_polls") ? SIGNALLED_POLLS_REFUSED :
							      NO_REFUSAL;
	sandbox.workers_may_stay = !strcmp(argv[4], "workers");
	sandbox.is_without_contexts = !strcmp(argv[4], "contexts");
	for (int i = 0; i < sandbox.count; i++)
		sandbox.calls[i] = atoi(argv[5 + i]);
	if (smoke_prepare(&job))
		return 1;
	if (!strcmp(argv[4], "eventfds") || !strcmp(argv[4], "cancels"))
		job.event = -1;
	job.cancels_may_fail = !strcmp(argv[4], "cancels") && !strcmp(argv[1], "later");
	return !strcmp(argv[1], "start") ? from_the_start(&sandbox, &job) : later(&sandbox, &job);
}
