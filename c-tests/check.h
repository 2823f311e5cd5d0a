/*
 * What the C tests share.
 *
 * A test is one C file that shows one behaviour. It begins with a comment that says which
 * (`Description: ...`), includes this header first, and ends in `return finish();`.
 *
 * The suite runs it on the system's libaio and on ours, each time in an empty directory of its own
 * on a disk, and requires exit status 0 and the same text on stdout. So
 * - stdout is a transcript of facts, one a line: `closed fd: -EBADF`. Nothing that varies from run
 *   to run goes there: no addresses, times, process numbers, orders that the kernel does not
 *   promise, nor anything where the library may differ (the capacity of a context);
 * - a fact whose value is known on every kernel is also asserted: expect(), expect_submit(),
 *   expect_result(), CHECK(). One that depends on the kernel's version or file system is only
 *   told: fact(), tell_outcome(). A failed assertion is told on stderr and the test goes on;
 * - what the machine cannot do is skipped: skip("reason"), exit status 77. Trouble that has nothing
 *   to do with the library ends the test: must(), die();
 * - events that arrive by themselves are waited for with EVENTUALLY(), never with a bare sleep.
 *   A sleep may only show that something does *not* happen.
 *
 * Behaviour that differs on purpose has a file of its own that begins with a tag, such as
 * `/ * only: uaio: REASON * /` or `/ * not: pool: REASON * /` (no space in slash-star): suite.rs
 * lists them. A test that needs more than 30 seconds says `/ * timeout: SECONDS * /`.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libaio.h>

#define PAGE 4096ul
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of linux/aio_abi.h and linux/fs.h, which old headers have in part. */
#define FLAG_RESFD 1u
#define FLAG_IOPRIO 2u
#ifndef RWF_HIPRI
#define RWF_HIPRI 0x1
#endif
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x2
#endif
#ifndef RWF_SYNC
#define RWF_SYNC 0x4
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif
#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

/* ---- Facts and assertions ---- */

static int check_failures;

/* `-EBADF` for -9, `12` for 12. The text lives until the eighth call after this one. */
static inline const char *code(long value)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
#define NAME(e) { e, #e }
		NAME(E2BIG), NAME(EACCES), NAME(EAGAIN), NAME(EBADF), NAME(EBUSY), NAME(ECANCELED),
		NAME(ECONNREFUSED), NAME(ECONNRESET), NAME(EDESTADDRREQ), NAME(EEXIST), NAME(EFAULT),
		NAME(EFBIG), NAME(EINPROGRESS), NAME(EINTR), NAME(EINVAL), NAME(EIO), NAME(EISCONN),
		NAME(EISDIR), NAME(EMFILE), NAME(EMSGSIZE), NAME(ENODEV), NAME(ENOENT), NAME(ENOMEM),
		NAME(ENOSPC), NAME(ENOSYS), NAME(ENOTCONN), NAME(ENOTDIR), NAME(ENOTTY), NAME(ENXIO),
		NAME(EOPNOTSUPP), NAME(EOVERFLOW), NAME(EPERM), NAME(EPIPE), NAME(ERANGE), NAME(EROFS),
		NAME(ESPIPE), NAME(ESRCH), NAME(ETIMEDOUT), NAME(ETXTBSY),
#undef NAME
	};
	static _Thread_local char text[8][24];
	static _Thread_local unsigned turn;
	char *out = text[turn++ % 8];

	for (size_t i = 0; i < COUNT(names); i++) {
		if (value == -names[i].number) {
			snprintf(out, sizeof(text[0]), "-%s", names[i].name);
			return out;
		}
	}
	snprintf(out, sizeof(text[0]), "%ld", value);
	return out;
}

/* One line of the transcript. */
__attribute__((format(printf, 1, 2))) static inline void fact(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

/* One failure. */
__attribute__((format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("FAILED: ", stderr);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	__atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED);
}

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition))                                              \
			fail("%s:%d: %s", __FILE__, __LINE__, #condition);     \
	} while (0)

/* Tells `what: got` and requires that got is want. */
__attribute__((format(printf, 3, 4))) static inline void expect(long got, long want,
								 const char *what, ...)
{
	char name[200];
	va_list arguments;

	va_start(arguments, what);
	vsnprintf(name, sizeof(name), what, arguments);
	va_end(arguments);
	fact("%s: %s", name, code(got));
	if (got != want)
		fail("%s: got %s, not %s", name, code(got), code(want));
}

/* The exit status of the test. */
static inline int finish(void)
{
	return check_failures ? 1 : 0;
}

/* Ends a test that cannot run here. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	_exit(check_failures ? 1 : 77);
}

/* Ends a test that went wrong for a reason of its own. */
__attribute__((noreturn)) static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(2);
}

/* The value of a call that must work: fd = MUST(open(...)). */
#define MUST(call)                                                             \
	({                                                                     \
		long must_value = (long)(call);                                \
		if (must_value == -1)                                          \
			die(#call);                                            \
		must_value;                                                    \
	})

/* ---- Time ---- */

static inline long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

/* Waits up to ten seconds until the condition holds, and fails if it never does. */
#define EVENTUALLY(condition)                                                  \
	do {                                                                   \
		long eventually_end = now_ms() + 10000;                        \
		bool eventually_so;                                            \
		while (!(eventually_so = (condition)) && now_ms() < eventually_end) \
			sleep_ms(1);                                           \
		if (!eventually_so)                                            \
			fail("%s:%d: never: %s", __FILE__, __LINE__, #condition); \
	} while (0)

/* ---- Contexts ---- */

/*
 * A context for nr events. Kernel contexts are charged against fs.aio-max-nr, which tests that run
 * at the same time share: then a little patience helps.
 */
static inline io_context_t new_context(int nr)
{
	io_context_t ctx = 0;
	long end = now_ms() + 15000;
	int error;

	while ((error = io_setup(nr, &ctx)) == -EAGAIN && now_ms() < end)
		sleep_ms(10);
	if (error) {
		errno = -error;
		die("io_setup");
	}
	return ctx;
}

static inline void end_context(io_context_t ctx)
{
	int error = io_destroy(ctx);

	if (error)
		fail("io_destroy: %s", code(error));
}

/* The ring at the address of a context. */
struct ring {
	unsigned id;
	unsigned nr;
	unsigned head;
	unsigned tail;
	unsigned magic;
	unsigned compat_features;
	unsigned incompat_features;
	unsigned header_length;
	struct io_event events[];
};

static inline struct ring *ring_of(io_context_t ctx)
{
	return (struct ring *)ctx;
}

/* Events in the ring that nobody has taken. No call of the library. */
static inline unsigned in_ring(io_context_t ctx)
{
	struct ring *ring = ring_of(ctx);
	unsigned tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

	return (tail + ring->nr - ring->head % ring->nr) % ring->nr;
}

/* Takes one event as QEMU does: out of the ring, by moving head. */
static inline bool take_from_ring(io_context_t ctx, struct io_event *event)
{
	struct ring *ring = ring_of(ctx);

	if (!in_ring(ctx))
		return false;
	*event = ring->events[ring->head % ring->nr];
	__atomic_store_n(&ring->head, (ring->head + 1) % ring->nr, __ATOMIC_RELEASE);
	return true;
}

/* ---- Submitting and reaping ---- */

static inline int submit(io_context_t ctx, struct iocb *iocb)
{
	return io_submit(ctx, 1, &iocb);
}

/* io_getevents that gives up after ten seconds. */
static inline int reap(io_context_t ctx, long min_nr, long nr, struct io_event *events)
{
	struct timespec timeout = { 10, 0 };

	return io_getevents(ctx, min_nr, nr, events, &timeout);
}

/* Takes and drops all events that are there. Returns their number. */
static inline int drain(io_context_t ctx)
{
	struct io_event events[64];
	struct timespec zero = { 0, 0 };
	int total = 0, got;

	while ((got = io_getevents(ctx, 1, 64, events, &zero)) > 0)
		total += got;
	return total;
}

static inline long event_res(const struct io_event *event)
{
	return (long)event->res;
}

/* Whether the event belongs to the iocb, and everything but res is as it must be. */
static inline bool event_is_for(const struct io_event *event, const struct iocb *iocb)
{
	return event->obj == iocb && event->data == iocb->data && event->res2 == 0;
}

/* What became of an iocb that was submitted alone. */
struct outcome {
	int submitted; /* what io_submit returned */
	bool at_once; /* its event was in the ring when io_submit returned */
	long res; /* of the event, if submitted is 1 */
};

/* Submits one iocb to an idle context and waits for its event, ten seconds at most. */
static inline struct outcome outcome_of(io_context_t ctx, struct iocb *iocb)
{
	struct iocb before = *iocb;
	struct outcome outcome = { .submitted = submit(ctx, iocb) };
	struct io_event event;

	outcome.at_once = in_ring(ctx) == 1;
	if (outcome.submitted != 1)
		return outcome;
	if (reap(ctx, 1, 1, &event) != 1) {
		fail("an iocb was submitted, and no event came");
		outcome.res = -ETIMEDOUT;
		return outcome;
	}
	if (event.obj != iocb || event.data != before.data || event.res2 != 0)
		fail("the event does not match the iocb");
	outcome.res = event_res(&event);
	return outcome;
}

#define CHECK_NAME(name, what)                                                 \
	char name[200];                                                        \
	va_list name##_arguments;                                              \
	va_start(name##_arguments, what);                                      \
	vsnprintf(name, sizeof(name), what, name##_arguments);                 \
	va_end(name##_arguments)

/* The iocb is refused with want: no event ever. Tells `what: submit -EBADF`. */
__attribute__((format(printf, 4, 5))) static inline void
expect_submit(io_context_t ctx, struct iocb *iocb, int want, const char *what, ...)
{
	CHECK_NAME(name, what);
	int got = submit(ctx, iocb);

	fact("%s: submit %s", name, code(got));
	if (got != want)
		fail("%s: io_submit: %s, not %s", name, code(got), code(want));
	if (got == 1)
		reap(ctx, 1, 1, &(struct io_event){ 0 });
	else if (in_ring(ctx) != 0)
		fail("%s: an event for a refused iocb", name);
}

/* The iocb is accepted and its event carries want. Tells `what: 512`. */
__attribute__((format(printf, 4, 5))) static inline void
expect_result(io_context_t ctx, struct iocb *iocb, long want, const char *what, ...)
{
	CHECK_NAME(name, what);
	struct outcome got = outcome_of(ctx, iocb);

	if (got.submitted != 1) {
		fact("%s: submit %s", name, code(got.submitted));
		fail("%s: io_submit: %s, not 1", name, code(got.submitted));
		return;
	}
	fact("%s: %s", name, code(got.res));
	if (got.res != want)
		fail("%s: res %s, not %s", name, code(got.res), code(want));
}

/* As expect_result(), and the event is in the ring when io_submit returns. */
__attribute__((format(printf, 4, 5))) static inline void
expect_at_once(io_context_t ctx, struct iocb *iocb, long want, const char *what, ...)
{
	CHECK_NAME(name, what);
	struct outcome got = outcome_of(ctx, iocb);

	if (got.submitted != 1) {
		fact("%s: submit %s", name, code(got.submitted));
		fail("%s: io_submit: %s, not 1", name, code(got.submitted));
		return;
	}
	fact("%s: %s%s", name, code(got.res), got.at_once ? "" : ", later");
	if (got.res != want)
		fail("%s: res %s, not %s", name, code(got.res), code(want));
	if (!got.at_once)
		fail("%s: no event when io_submit returned", name);
}

/* Tells what became of the iocb and asserts nothing: for what depends on the kernel's version. */
__attribute__((format(printf, 3, 4))) static inline void
tell_outcome(io_context_t ctx, struct iocb *iocb, const char *what, ...)
{
	CHECK_NAME(name, what);
	struct outcome got = outcome_of(ctx, iocb);

	if (got.submitted == 1)
		fact("%s: %s", name, code(got.res));
	else
		fact("%s: submit %s", name, code(got.submitted));
}

/* ---- Files ---- */

/* A file in the test's directory, opened for reading and writing and with flags. */
static inline int scratch(const char *name, int flags)
{
	return (int)MUST(open(name, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600));
}

/* A file of size bytes, all of them allocated and equal to fill. */
static inline int scratch_filled(const char *name, int flags, size_t size, int fill)
{
	int fd = scratch(name, O_TRUNC);
	char block[4096];

	memset(block, fill, sizeof(block));
	for (size_t done = 0; done < size;) {
		size_t length = size - done < sizeof(block) ? size - done : sizeof(block);

		done += (size_t)MUST(pwrite(fd, block, length, (off_t)done));
	}
	MUST(fsync(fd));
	close(fd);
	return scratch(name, flags);
}

/* The same, opened for direct I/O; skips where the file system has none. */
static inline int scratch_direct(const char *name, size_t size, int fill)
{
	int fd;

	close(scratch_filled(name, 0, size, fill));
	fd = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd == -1 && errno == EINVAL)
		skip("no O_DIRECT on this file system");
	return (int)MUST(fd);
}

/* Entries of a directory, "." and ".." among them. */
static inline int entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	if (!directory)
		die(path);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static inline bool filled_with(const void *memory, int fill, size_t size)
{
	const unsigned char *bytes = memory;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (unsigned char)fill)
			return false;
	return true;
}

/* ---- Memory ---- */

/* Whole pages, zeroed. */
static inline void *pages(size_t count, int protection)
{
	void *memory =
		mmap(NULL, count * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? die("mmap"), NULL : memory;
}

/* size bytes of writable memory, at most a page, that end where unreadable memory begins. */
static inline char *at_edge(size_t size)
{
	char *memory = pages(2, PROT_READ | PROT_WRITE);

	MUST(mprotect(memory + PAGE, PAGE, PROT_NONE));
	return memory + PAGE - size;
}

/* An address in a gap so large that nothing mapped later will fill it. */
static inline void *unmapped(void)
{
	size_t size = 1ul << 30;
	char *memory = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	munmap(memory, size);
	return memory + 16 * PAGE;
}

/* Addresses that no program can have: of the kernel, and of neither. */
#define KERNEL_ADDRESS ((void *)0xffff888000000000ul)
#define NO_ADDRESS ((void *)0x0000900000000000ul)

/* ---- Signals and threads ---- */

static volatile sig_atomic_t signals_seen[65];

static inline void count_signal_handler(int signal)
{
	signals_seen[signal]++;
}

/* Counts a signal in signals_seen[]. SA_RESTART or 0. */
static inline void count_signal(int signal, int flags)
{
	struct sigaction action = { .sa_handler = count_signal_handler, .sa_flags = flags };

	MUST(sigaction(signal, &action, NULL));
}

static inline pthread_t start(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, body, argument);
	if (errno)
		die("pthread_create");
	return thread;
}

static inline void join(pthread_t thread)
{
	errno = pthread_join(thread, NULL);
	if (errno)
		die("pthread_join");
}

#endif
