/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Asynchronous I/O: submit operations on files, collect their events later.
 *
 *	io_context_t ctx = 0;
 *	struct iocb cb, *list[] = { &cb };
 *	struct io_event event;
 *
 *	io_setup(64, &ctx);
 *	io_prep_pread(&cb, fd, buf, 4096, 0);
 *	io_submit(ctx, 1, list);
 *	io_getevents(ctx, 1, 1, &event, NULL);
 *	if ((long)event.res < 0)
 *		fprintf(stderr, "%s\n", strerror(-(long)event.res));
 *	io_destroy(ctx);
 *
 * Every function returns a count or 0, or else a negated error number, and leaves errno alone.
 * Any thread may use any context, several of them at the same time; a forked child has none.
 * Link with -laio.
 *
 * Names, prototypes and layouts are those of libaio 0.3.113. The structures are the kernel's, 64
 * and 32 bytes on every machine, see <linux/aio_abi.h>.
 *
 * Generated: the sources are src/abi/entry.rs and the fragments include/{head,iocb,prep}.h.in.
 */
#ifndef __LIBAIO_H
#define __LIBAIO_H

#include <sys/types.h>
#include <sys/select.h>
#include <signal.h>
#include <string.h>

struct iovec;
struct sockaddr;
struct timespec;

/*
 * Where the kernel has 64 bits, 32-bit machines have a pointer or a long: it takes the low half,
 * and pad the high one. Where the kernel has two 32-bit members, it swaps them by byte order.
 * __AIO_REST is the type that libaio gives the other half of the poll mask.
 */
#if __SIZEOF_POINTER__ == 8
#define __AIO_WIDE(member, pad) member
#elif __SIZEOF_POINTER__ == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define __AIO_WIDE(member, pad) member; unsigned pad
#elif __SIZEOF_POINTER__ == 4 && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define __AIO_WIDE(member, pad) unsigned pad; member
#else
#error "libaio.h: unknown size of pointers or byte order"
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define __AIO_PAIR(low, high) low; high
#else
#define __AIO_PAIR(low, high) high; low
#endif
#if __SIZEOF_POINTER__ == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define __AIO_REST int
#else
#define __AIO_REST unsigned
#endif

/*
 * Reads, writes and syncs. The result is the number of bytes read or written, at most 0x7ffff000
 * at once; 0 for a sync, which wants buf, nbytes and offset to be 0.
 */
struct io_iocb_common {
	/* The buffer; for IO_CMD_PREADV and IO_CMD_PWRITEV the address of the iovec array. */
	__AIO_WIDE(void *buf, __pad1);
	/* Bytes in the buffer; elements of the iovec array, at most 1024. */
	__AIO_WIDE(unsigned long nbytes, __pad2);
	/* Position in the file, in bytes, not negative. Pipes ignore it, sockets want 0. */
	long long offset;
	/* Must be 0. */
	long long __pad3;
	/* 1: resfd is valid, see io_set_eventfd(). 2: aio_reqprio is valid. The rest is ignored. */
	unsigned flags;
	/* The eventfd to which 1 is added when the event is there, if flags says so. */
	unsigned resfd;
};

/* The same for IO_CMD_PREADV and IO_CMD_PWRITEV, member by member in the same places. */
struct io_iocb_vector {
	/* The array. */
	__AIO_WIDE(const struct iovec *vec, __pad1);
	/* Its elements. */
	__AIO_WIDE(unsigned long nr, __pad2);
	/* Position in the file, in bytes. */
	long long offset;
};

/* IO_CMD_POLL. The result is the set of events that are ready. */
struct io_iocb_poll {
	/* POLLIN and so on, see poll(2). POLLERR and POLLHUP need not be asked for. */
	__AIO_PAIR(int events, __AIO_REST __pad1);
};

/* An address and its length. No operation uses it. */
struct io_iocb_sockaddr {
	/* The address. */
	__AIO_WIDE(struct sockaddr *addr, __pad1);
	/* Its bytes. */
	__AIO_WIDE(unsigned long len, __pad2);
};

/*
 * One operation on one file. Fill it in with an io_prep_*() function.
 *
 * io_submit() copies it, and the iovec array as well: both may be reused when the call returns,
 * the buffers when the event is there. io_cancel() knows a request by the address of its iocb.
 */
struct iocb {
	/* The program's own value, found again in the event. */
	__AIO_WIDE(void *data, __pad1);
	/*
	 * key: set to 0 by io_submit(), and must be 0 at io_cancel().
	 * aio_rw_flags: RWF_* flags of reads and writes, see preadv2(2); else 0.
	 */
	__AIO_PAIR(unsigned key, unsigned aio_rw_flags);
	/* The operation, one of enum io_iocb_cmd. */
	short aio_lio_opcode;
	/* I/O priority as in ioprio_set(2), if flags says so. */
	short aio_reqprio;
	/* The file descriptor. It may be closed when io_submit() returns. */
	int aio_fildes;
	/* The operation's arguments. flags and resfd of c are there for every operation. */
	union {
		struct io_iocb_common c;
		struct io_iocb_vector v;
		struct io_iocb_poll poll;
		struct io_iocb_sockaddr saddr;
	} u;
};

/* One completion. */
struct io_event {
	/* The data member of the iocb at submission. */
	__AIO_WIDE(void *data, __pad1);
	/* The iocb that was submitted. Only its address: it may hold something else by then. */
	__AIO_WIDE(struct iocb *obj, __pad2);
	/* The operation's result, or a negated error number: signed, whatever its type says. */
	__AIO_WIDE(unsigned long res, __pad3);
	/* 0. */
	__AIO_WIDE(unsigned long res2, __pad4);
};

/*
 * The last argument of the system call io_pgetevents(2), which the function of the same name fills
 * in by itself: only programs that use syscall(2) need it.
 */
struct io_sigset {
	/* The address of the signal mask. */
	unsigned long ss;
	/* Its bytes, 8 for the kernel's masks. */
	unsigned long ss_len;
};

/* The same where the kernel takes an address of 64 bits from a 32-bit program. */
struct io_sigset_compat {
	/* The address of the signal mask. */
	__AIO_WIDE(unsigned long ss, __ss_pad);
	/* Its bytes. */
	unsigned long ss_len;
};

#undef __AIO_WIDE
#undef __AIO_PAIR
#undef __AIO_REST

/* Operations: values of aio_lio_opcode. */
enum io_iocb_cmd {
	/* Read into one buffer. */
	IO_CMD_PREAD = 0,
	/* Write from one buffer. */
	IO_CMD_PWRITE = 1,
	/* Write the file's data and metadata to the device. */
	IO_CMD_FSYNC = 2,
	/* Write the file's data to the device. */
	IO_CMD_FDSYNC = 3,
	/* Wait until the file is ready, once. */
	IO_CMD_POLL = 5,
	/* Reserved by the kernel; submitting it fails with -EINVAL. */
	IO_CMD_NOOP = 6,
	/* Read into the buffers of an iovec array. */
	IO_CMD_PREADV = 7,
	/* Write from the buffers of an iovec array. */
	IO_CMD_PWRITEV = 8,
};

/* Completion ring of a context; opaque to programs that use the functions below. */
struct io_context;

/* A context: completion queue and requests in flight. 0 is "no context". */
typedef struct io_context *io_context_t;

/* An operation, as io_prep_* store it. */
typedef enum io_iocb_cmd io_iocb_cmd_t;

/* Called by io_queue_run() for each event: context, iocb, and the event's res and res2. */
typedef void (*io_callback_t)(io_context_t ctx, struct iocb *iocb, long res, long res2);

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/*
 * Creates a context and stores it in *ctxp.
 *
 * *ctxp must be 0 before the call. At least maxevents requests can be submitted before the
 * first event is taken. The context must be given to io_destroy() in the end; a forked child
 * does not inherit it.
 *
 * Returns 0; -EFAULT: ctxp cannot be read or written; -EINVAL: *ctxp is not 0, or maxevents
 * is 0 or far too large; -EAGAIN: maxevents exceeds the limit; -ENOMEM: no memory.
 */
int io_setup(int maxevents, io_context_t *ctxp);

/*
 * Destroys a context.
 *
 * Cancels what can be cancelled, waits for the rest, and wakes threads that wait in
 * io_getevents(), which return -EINVAL or what they have. When it returns, no buffer is touched
 * any more, and events that were not taken are lost.
 *
 * Returns 0, or -EINVAL: ctx is not a context of this process.
 */
int io_destroy(io_context_t ctx);

/*
 * Submits nr requests, in order.
 *
 * Buffered reads and writes, and everything that can be told at once, have completed when the call
 * returns; direct I/O, fsync and polls complete later. The iocbs and iovec arrays may be reused
 * after the call, the buffers only after the event.
 *
 * Returns how many requests were accepted, which may be fewer than nr; or, when the first one
 * is refused: -EAGAIN: no free slot, take events first; -EBADF: no such file, or not open for this
 * operation; -EFAULT: unreadable iocb or array; -EINVAL: no such context, negative nr, or a
 * field of the iocb is invalid; -EOPNOTSUPP: unknown aio_rw_flags; -EPERM: the priority is not
 * allowed.
 */
int io_submit(io_context_t ctx, long nr, struct iocb **ios);

/*
 * Asks to cancel a request that is in flight.
 *
 * A request that is cancelled still completes: its event follows through io_getevents(), with res
 * 0 for a poll and -ECANCELED for work that had not been started. evt is not used.
 *
 * Returns -EINPROGRESS: cancelled, the event follows; -EINVAL: no such context, no such request,
 * or too late, nothing changes and its event comes as usual; -EFAULT: unreadable iocb. Never 0.
 */
int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *evt);

/*
 * Takes up to nr events, waiting until at least min_nr are there or timeout has passed.
 *
 * With min_nr 0 it never waits; with timeout NULL it waits as long as it takes.
 *
 * Returns how many events were stored in events, fewer than min_nr after a timeout, a signal
 * or io_destroy(); -EINTR: a signal handler ran and nothing was taken; -EFAULT: bad events or
 * timeout; -EINVAL: no such context, or not 0 <= min_nr <= nr.
 */
int io_getevents(io_context_t ctx,
		 long min_nr,
		 long nr,
		 struct io_event *events,
		 struct timespec *timeout);

/*
 * io_getevents() with the signal mask sigmask in force while it waits, as ppoll() has it.
 *
 * sigmask NULL leaves the mask alone. Returns as io_getevents().
 */
int io_pgetevents(io_context_t ctx,
		  long min_nr,
		  long nr,
		  struct io_event *events,
		  struct timespec *timeout,
		  sigset_t *sigmask);

/*
 * io_setup() that first stores 0 in *ctxp.
 *
 * Returns as io_setup(); -EINVAL: maxevents is not positive (*ctxp is not touched then).
 */
int io_queue_init(int maxevents, io_context_t *ctxp);

/*
 * io_destroy() under its old name.
 *
 * Returns 0, or -EINVAL: ctx is not a context of this process.
 */
int io_queue_release(io_context_t ctx);

/*
 * Looks whether there are events, without taking any; it never waits.
 *
 * This is io_getevents(ctx, 0, 0, NULL, timeout), as in every libaio since 0.3.
 *
 * Returns 0; -EINVAL: no such context; -EFAULT: bad timeout.
 */
int io_queue_wait(io_context_t ctx, struct timespec *timeout);

/*
 * Takes all events that are there and calls the callback of each, set by io_set_callback().
 *
 * Returns 0, or the error of io_getevents().
 */
int io_queue_run(io_context_t ctx);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

/*
 * The io_prep_*() functions fill in every member of an iocb: members that they do not name, data
 * among them, become 0. io_set_callback() and io_set_eventfd() come after them. "Result" is what
 * the event brings in res when the operation succeeds.
 */

static inline void __io_prep(struct iocb *iocb, io_iocb_cmd_t cmd, int fd, void *buf,
			     unsigned long nbytes, long long offset)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = (short)cmd;
	iocb->aio_fildes = fd;
	iocb->u.c.buf = buf;
	iocb->u.c.nbytes = nbytes;
	iocb->u.c.offset = offset;
}

/* Reads up to count bytes at offset into buf, as pread(2). Result: bytes read, 0 at end of file. */
static inline void io_prep_pread(struct iocb *iocb, int fd, void *buf, size_t count,
				 long long offset)
{
	__io_prep(iocb, IO_CMD_PREAD, fd, buf, count, offset);
}

/* Writes up to count bytes of buf at offset, as pwrite(2). Result: bytes written. */
static inline void io_prep_pwrite(struct iocb *iocb, int fd, void *buf, size_t count,
				  long long offset)
{
	__io_prep(iocb, IO_CMD_PWRITE, fd, buf, count, offset);
}

/* Reads at offset into the iovcnt buffers of iov, as preadv(2). Result: bytes read. */
static inline void io_prep_preadv(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
				  long long offset)
{
	__io_prep(iocb, IO_CMD_PREADV, fd, (void *)iov, (unsigned long)iovcnt, offset);
}

/* Writes the iovcnt buffers of iov at offset, as pwritev(2). Result: bytes written. */
static inline void io_prep_pwritev(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
				   long long offset)
{
	__io_prep(iocb, IO_CMD_PWRITEV, fd, (void *)iov, (unsigned long)iovcnt, offset);
}

/* io_prep_preadv() with RWF_* flags, as preadv2(2). */
static inline void io_prep_preadv2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
				   long long offset, int flags)
{
	io_prep_preadv(iocb, fd, iov, iovcnt, offset);
	iocb->aio_rw_flags = (unsigned)flags;
}

/* io_prep_pwritev() with RWF_* flags, as pwritev2(2). */
static inline void io_prep_pwritev2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
				    long long offset, int flags)
{
	io_prep_pwritev(iocb, fd, iov, iovcnt, offset);
	iocb->aio_rw_flags = (unsigned)flags;
}

/*
 * Waits until fd is ready for one of events (POLLIN and so on), once. Result: the events that are
 * ready, and perhaps others that were not asked for: test the bits.
 */
static inline void io_prep_poll(struct iocb *iocb, int fd, int events)
{
	__io_prep(iocb, IO_CMD_POLL, fd, NULL, 0, 0);
	iocb->u.poll.events = events;
}

/*
 * Writes the file's data and metadata to the device, as fsync(2): those of requests that have
 * completed, not of all that were submitted. Result: 0.
 */
static inline void io_prep_fsync(struct iocb *iocb, int fd)
{
	__io_prep(iocb, IO_CMD_FSYNC, fd, NULL, 0, 0);
}

/* The same for data only, as fdatasync(2). Result: 0. */
static inline void io_prep_fdsync(struct iocb *iocb, int fd)
{
	__io_prep(iocb, IO_CMD_FDSYNC, fd, NULL, 0, 0);
}

/* Sets the function that io_queue_run() calls with the event. It takes the place of data. */
static inline void io_set_callback(struct iocb *iocb, io_callback_t cb)
{
	/* ISO C has no cast from a function to an object pointer. */
	memcpy(&iocb->data, &cb, sizeof(cb));
}

/* Adds 1 to the eventfd when the event is there, so that epoll(7) can wait for it. */
static inline void io_set_eventfd(struct iocb *iocb, int eventfd)
{
	iocb->u.c.flags |= 1u << 0;
	iocb->u.c.resfd = (unsigned)eventfd;
}

/* io_prep_poll(), io_set_callback() and io_submit(): returns 1, or the error of io_submit(). */
static inline int io_poll(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd, int events)
{
	io_prep_poll(iocb, fd, events);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

/* io_prep_fsync(), io_set_callback() and io_submit(): returns 1, or the error of io_submit(). */
static inline int io_fsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
	io_prep_fsync(iocb, fd);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

/* io_prep_fdsync(), io_set_callback() and io_submit(): returns 1, or the error of io_submit(). */
static inline int io_fdsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
	io_prep_fdsync(iocb, fd);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

#endif /* __LIBAIO_H */
