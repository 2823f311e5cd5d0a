/*
 * Calls every inline helper of libaio.h, in C and in C++, and compares the bytes that it leaves in
 * an iocb with those that the kernel's structure says.
 */
#include "kernel.h"
#include "libaio.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>

/* The prototypes of the manual pages: a compiler refuses a second one that differs. */
#ifdef __cplusplus
extern "C" {
#endif
int io_setup(int nr_events, io_context_t *ctxp);
int io_destroy(io_context_t ctx);
int io_submit(io_context_t ctx, long nr, struct iocb *ios[]);
int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *evt);
int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout);
int io_pgetevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		  struct timespec *timeout, sigset_t *sigmask);
int io_queue_init(int maxevents, io_context_t *ctxp);
int io_queue_release(io_context_t ctx);
int io_queue_run(io_context_t ctx);
int io_queue_wait(io_context_t ctx, struct timespec *timeout);
#ifdef __cplusplus
}
#endif

/* Through pointers, so that a helper of another type does not compile. */
static void (*const prep_pread)(struct iocb *, int, void *, size_t, long long) = io_prep_pread;
static void (*const prep_pwrite)(struct iocb *, int, void *, size_t, long long) = io_prep_pwrite;
static void (*const prep_preadv)(struct iocb *, int, const struct iovec *, int,
				 long long) = io_prep_preadv;
static void (*const prep_pwritev)(struct iocb *, int, const struct iovec *, int,
				  long long) = io_prep_pwritev;
static void (*const prep_preadv2)(struct iocb *, int, const struct iovec *, int, long long,
				  int) = io_prep_preadv2;
static void (*const prep_pwritev2)(struct iocb *, int, const struct iovec *, int, long long,
				   int) = io_prep_pwritev2;
static void (*const prep_poll)(struct iocb *, int, int) = io_prep_poll;
static void (*const prep_fsync)(struct iocb *, int) = io_prep_fsync;
static void (*const prep_fdsync)(struct iocb *, int) = io_prep_fdsync;
static void (*const set_callback)(struct iocb *, io_callback_t) = io_set_callback;
static void (*const set_eventfd)(struct iocb *, int) = io_set_eventfd;
static int (*const poll_now)(io_context_t, struct iocb *, io_callback_t, int, int) = io_poll;
static int (*const fsync_now)(io_context_t, struct iocb *, io_callback_t, int) = io_fsync;
static int (*const fdsync_now)(io_context_t, struct iocb *, io_callback_t, int) = io_fdsync;

static int failures;

static void check(int holds, const char *what)
{
	if (!holds) {
		printf("%s\n", what);
		failures++;
	}
}

static struct iocb got;
static struct kernel_iocb want;

/* Nothing of what an iocb held before may stay. */
static void begin(unsigned opcode, int fd)
{
	memset(&got, 0xff, sizeof(got));
	memset(&want, 0, sizeof(want));
	want.aio_lio_opcode = (uint16_t)opcode;
	want.aio_fildes = (uint32_t)fd;
}

static void end(const char *helper)
{
	check(memcmp(&got, &want, sizeof(want)) == 0, helper);
}

/* Takes the place of the library, for the helpers that submit. */
static io_context_t submitted_to;
static long submitted;
static struct iocb *submitted_iocb;

int io_submit(io_context_t ctx, long nr, struct iocb *ios[])
{
	submitted_to = ctx;
	submitted = nr;
	submitted_iocb = ios[0];
	return -11;
}

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	(void)ctx;
	(void)iocb;
	(void)res;
	(void)res2;
}

static void end_submit(int result, const char *helper)
{
	end(helper);
	check(result == -11, "the result of io_submit is lost");
	check(submitted_to == (io_context_t)&submitted, "submitted to another context");
	check(submitted == 1 && submitted_iocb == &got, "submitted something else");
	submitted_to = NULL;
	submitted = 0;
	submitted_iocb = NULL;
}

int main(void)
{
	/* Every byte differs, so that two that are exchanged are seen. */
	const long long offset = 0x0123456789abcdefLL;
	const size_t count = (size_t)0xfedcba98u;
	char buffer[1];
	struct iovec vector[3];
	io_context_t ctx = (io_context_t)&submitted;

	begin(IOCB_CMD_PREAD, 5);
	want.aio_buf = (uintptr_t)buffer;
	want.aio_nbytes = count;
	want.aio_offset = offset;
	prep_pread(&got, 5, buffer, count, offset);
	end("io_prep_pread");

	begin(IOCB_CMD_PWRITE, -7);
	want.aio_buf = (uintptr_t)buffer;
	want.aio_nbytes = count;
	want.aio_offset = -offset;
	prep_pwrite(&got, -7, buffer, count, -offset);
	end("io_prep_pwrite");

	begin(IOCB_CMD_PREADV, 8);
	want.aio_buf = (uintptr_t)vector;
	want.aio_nbytes = 3;
	want.aio_offset = offset;
	prep_preadv(&got, 8, vector, 3, offset);
	end("io_prep_preadv");
	/* The other view of the same iocb. */
	check(got.u.v.vec == vector && got.u.v.nr == 3 && got.u.v.offset == offset, "u.v");

	begin(IOCB_CMD_PWRITEV, 9);
	want.aio_buf = (uintptr_t)vector;
	want.aio_nbytes = 2;
	want.aio_offset = offset;
	prep_pwritev(&got, 9, vector, 2, offset);
	end("io_prep_pwritev");

	begin(IOCB_CMD_PREADV, 10);
	want.aio_buf = (uintptr_t)vector;
	want.aio_nbytes = 3;
	want.aio_offset = offset;
	want.aio_rw_flags = 0x12345678;
	prep_preadv2(&got, 10, vector, 3, offset, 0x12345678);
	end("io_prep_preadv2");

	begin(IOCB_CMD_PWRITEV, 11);
	want.aio_buf = (uintptr_t)vector;
	want.aio_nbytes = 1;
	want.aio_offset = offset;
	want.aio_rw_flags = 0x12345678;
	prep_pwritev2(&got, 11, vector, 1, offset, 0x12345678);
	end("io_prep_pwritev2");

	begin(IOCB_CMD_POLL, 12);
	want.aio_buf = POLLIN | POLLHUP;
	prep_poll(&got, 12, POLLIN | POLLHUP);
	end("io_prep_poll");

	begin(IOCB_CMD_FSYNC, 13);
	prep_fsync(&got, 13);
	end("io_prep_fsync");

	begin(IOCB_CMD_FDSYNC, 14);
	prep_fdsync(&got, 14);
	end("io_prep_fdsync");

	begin(IOCB_CMD_FDSYNC, 14);
	want.aio_data = (uintptr_t)callback;
	prep_fdsync(&got, 14);
	set_callback(&got, callback);
	end("io_set_callback");

	/* IOCB_FLAG_IOPRIO is the program's and stays. */
	begin(IOCB_CMD_FSYNC, 15);
	want.aio_flags = IOCB_FLAG_RESFD | IOCB_FLAG_IOPRIO;
	want.aio_resfd = 16;
	prep_fsync(&got, 15);
	got.u.c.flags = IOCB_FLAG_IOPRIO;
	set_eventfd(&got, 16);
	end("io_set_eventfd");

	begin(IOCB_CMD_POLL, 17);
	want.aio_data = (uintptr_t)callback;
	want.aio_buf = POLLOUT;
	end_submit(poll_now(ctx, &got, callback, 17, POLLOUT), "io_poll");

	begin(IOCB_CMD_FSYNC, 18);
	want.aio_data = (uintptr_t)callback;
	end_submit(fsync_now(ctx, &got, callback, 18), "io_fsync");

	begin(IOCB_CMD_FDSYNC, 19);
	want.aio_data = (uintptr_t)callback;
	end_submit(fdsync_now(ctx, &got, callback, 19), "io_fdsync");

	return failures != 0;
}
