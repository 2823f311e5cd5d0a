/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Cases of hostile.c: there is too little kernel AIO on the machine, or none left. */
#include "hostile.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* io_setup(2), which the library does not see, as it would see syscall(). */
static long kernel_setup(unsigned events, unsigned long *context)
{
#if defined(__x86_64__)
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_io_setup), "D"((long)events), "S"(context)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_io_setup;
	register long result __asm__("x0") = events;
	register unsigned long *where __asm__("x1") = context;

	__asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(where) : "memory");
	return result;
#else
#error "hostile_kernel_aio.h: how are system calls made here?"
#endif
}

/* Makes contexts until there is none left for anybody; how many events they are for. */
static long take_all(void)
{
	long taken = 0;

	for (unsigned events = 65536; events > 0;) {
		unsigned long context = 0;
		long error = kernel_setup(events, &context);

		if (error == 0)
			taken += events;
		else if (error == -EAGAIN || error == -ENOMEM)
			events /= 2;
		else
			return error;
	}
	return taken;
}

struct hog {
	pid_t process;
	/* It ends when this is closed, by whatever. */
	int leash;
};

/* A process that has it all. */
static int begin_hog(struct hog *hog)
{
	int leash[2], report[2];
	long taken;

	CHECK_EQ(pipe2(leash, O_CLOEXEC), 0);
	CHECK_EQ(pipe2(report, O_CLOEXEC), 0);
	hog->process = fork();
	CHECK(hog->process >= 0);
	if (hog->process == 0) {
		close(leash[1]);
		taken = take_all();
		if (write(report[1], &taken, sizeof(taken)) == sizeof(taken))
			taken = read(leash[0], &taken, 1);
		_exit(0);
	}
	close(leash[0]);
	close(report[1]);
	hog->leash = leash[1];
	CHECK_EQ(read(report[0], &taken, sizeof(taken)), sizeof(taken));
	close(report[0]);
	CHECK(taken > 0);
	return 0;
}

static int end_hog(const struct hog *hog)
{
	int status;

	close(hog->leash);
	CHECK_EQ(waitpid(hog->process, &status, 0), hog->process);
	return 0;
}

/* Rings that the kernel has made for this process. */
static int kernel_rings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int count = 0;

	if (!maps)
		return -1;
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, "/[aio]") != NULL;
	fclose(maps);
	return count;
}

/* Whether direct I/O goes to the kernel's AIO where it can. */
static int wants_kernel_aio(void)
{
	return !getenv("UAIO_ENGINE") && !getenv("UAIO_RING");
}

static int kernel_aio_exhausted(struct smoke *job)
{
	struct usage before = usage();
	struct hog hog;

	if (begin_hog(&hog))
		return 1;
	CHECK_EQ(smoke_run(job), 0);
	CHECK_EQ(smoke_run(job), 0);
	CHECK_EQ(kernel_rings(), 0);
	if (end_hog(&hog))
		return 1;
	/* There is some again, for those who ask. */
	CHECK_EQ(smoke_run(job), 0);
	CHECK_EQ(kernel_rings() > 0, wants_kernel_aio());
	return gone(before);
}

/* Contexts that the kernel serves already, some that want more of it, and some that come too late. */
static int kernel_aio_exhausted_later(struct smoke *job)
{
	enum { CONTEXTS = 40, MANY = 256 };
	static struct iocb iocbs[MANY], *list[MANY];
	static struct io_event events[MANY];
	struct usage before = usage();
	io_context_t contexts[CONTEXTS] = { 0 };
	struct hog hog;

	for (int i = 0; i < CONTEXTS / 2; i++) {
		CHECK_EQ(io_setup(MANY, &contexts[i]), 0);
		CHECK_EQ(smoke_copy(contexts[i], job->source, job->target), 0);
	}
	if (begin_hog(&hog))
		return 1;
	for (int i = CONTEXTS / 2; i < CONTEXTS; i++)
		CHECK_EQ(io_setup(MANY, &contexts[i]), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < CONTEXTS; i++) {
			for (int k = 0; k < MANY; k++) {
				io_prep_pread(&iocbs[k], job->source, smoke_buffers[k % BATCH],
					      BLOCK, k % BLOCKS * BLOCK);
				list[k] = &iocbs[k];
			}
			CHECK_EQ(io_submit(contexts[i], MANY, list), MANY);
			CHECK_EQ(io_getevents(contexts[i], MANY, MANY, events, NULL), MANY);
			for (int k = 0; k < MANY; k++)
				CHECK_EQ(events[k].res, BLOCK);
			CHECK_EQ(smoke_on(contexts[i], job), 0);
		}
		if (round == 0 && end_hog(&hog))
			return 1;
	}
	for (int i = 0; i < CONTEXTS; i++)
		CHECK_EQ(io_destroy(contexts[i]), 0);
	return gone(before);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int read_in(io_context_t ctx, const struct smoke *job)
{
	struct iocb reads[BATCH];

	for (int i = 0; i < BATCH; i++)
		io_prep_pread(&reads[i], job->source, smoke_buffers[i], BLOCK, i * BLOCK);
	return smoke_submit(ctx, reads, BATCH) || smoke_reap(ctx, BATCH, BLOCK);
}

/* Makes a context, and counts if that takes as long as a grace period of the kernel, 10 ms or more. */
static int make_quickly(int events, io_context_t *ctx, int *slow)
{
	double begin = seconds();
	int result = io_setup(events, ctx);

	*slow += seconds() - begin > 0.01;
	return result;
}

/* The same for its end. */
static int destroy_quickly(io_context_t ctx, int *slow)
{
	double begin = seconds();
	int result = io_destroy(ctx);

	*slow += seconds() - begin > 0.01;
	return result;
}

/*
 * Contexts for many more events than the machine allows in all, each with direct reads. Making and
 * destroying them does not wait for the kernel's own contexts; a busy machine makes some wait.
 */
static int thousand_contexts_with_direct_reads(struct smoke *job)
{
	enum { CONTEXTS = 1000, EVENTS = 1024, MORE = 500 };
	static io_context_t contexts[CONTEXTS];
	int slow = 0;

	for (int i = 0; i < CONTEXTS; i++) {
		CHECK_EQ(make_quickly(EVENTS, &contexts[i], &slow), 0);
		CHECK_EQ(read_in(contexts[i], job), 0);
	}
	for (int i = 0; i < CONTEXTS; i += 100)
		CHECK_EQ(smoke_on(contexts[i], job), 0);
	for (int i = 0; i < CONTEXTS; i++) {
		CHECK_EQ(read_in(contexts[i], job), 0);
		CHECK_EQ(destroy_quickly(contexts[i], &slow), 0);
	}
	CHECK(slow < CONTEXTS / 2);
	slow = 0;
	for (int i = 0; i < MORE; i++) {
		contexts[0] = 0;
		CHECK_EQ(make_quickly(EVENTS, &contexts[0], &slow), 0);
		CHECK_EQ(read_in(contexts[0], job), 0);
		CHECK_EQ(destroy_quickly(contexts[0], &slow), 0);
	}
	CHECK(slow < MORE / 2);
	return 0;
}
