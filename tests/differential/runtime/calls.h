/* The calls of the library, and what else a program does. a[0] is the thread, if a call has one. */
#ifndef RUNTIME_CALLS_H
#define RUNTIME_CALLS_H

#include "track.h"

enum via { LIBRARY, RAW, MASKED, RAW_MASKED, OLD };

static long context_number(long value)
{
	return (long)((unsigned long)value % CONTEXTS);
}

/* libaio reads the ring of a context without a look whether there is one. */
static long safe_via(long via, long context)
{
	if (is_alive[context] || contexts[context] == NULL)
		return via;
	return via == MASKED || via == RAW_MASKED ? RAW_MASKED : RAW;
}

/* setup(T, C, VIA, NR, TARGET) */
static void setup_here(const long *a)
{
	long c = context_number(a[1]), value;
	io_context_t *target = a[4] ? bad_address(a[4]) : &contexts[c];

	if (is_alive[c] && !a[4] && a[2] == 2)
		return; /* io_queue_init would forget the old one */
	errno = UNTOUCHED;
	if (a[2] == RAW)
		value = raw(syscall(SYS_io_setup, (unsigned)a[3], target));
	else if (a[2] == 2 && !a[4])
		value = io_queue_init((int)a[3], target);
	else
		value = io_setup((int)a[3], target);
	if (a[2] == RAW)
		errno = UNTOUCHED;
	if (value == 0) {
		is_alive[c] = true;
		/* Addresses are used again, but not the same on both sides. */
		for (long other = 0; other < CONTEXTS; other++)
			if (!is_alive[other])
				contexts[other] = NULL;
	}
	tell_value("setup", c, value);
	tell("\n");
}

static void setup(const long *a)
{
	in_thread(a[0], setup_here, a);
}

static void forget(long c)
{
	for (long i = 0; i < request_count; i++)
		if (requests[i].context == c)
			requests[i].is_live = false;
	is_alive[c] = false;
}

/* destroy(T, C, VIA) */
static void destroy_here(const long *a)
{
	long c = context_number(a[1]), value;

	errno = UNTOUCHED;
	if (a[2] == RAW) {
		value = raw(syscall(SYS_io_destroy, contexts[c]));
		errno = UNTOUCHED;
	} else {
		value = a[2] == 2 ? io_queue_release(contexts[c]) : io_destroy(contexts[c]);
	}
	tell_value("destroy", c, value);
	tell("\n");
	if (value == 0)
		forget(c);
	if (a[3])
		contexts[c] = NULL;
}

static void destroy(const long *a)
{
	in_thread(a[0], destroy_here, a);
}

/* iocb(S, OPCODE, F, BUFFER, LENGTH, OFFSET, FLAGS, RWF, RESF, BAD): nothing is submitted. */
static void iocb(const long *a)
{
	long slot = a[0] % IOCBS, opcode = a[1], length = a[4];
	struct iocb *iocb = &memory->iocbs[slot];
	/* Not soon again one that a request in flight uses. */
	static long prepared;
	char *buffer = memory->buffers[prepared++ % BUFFERS];

	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = (short)opcode;
	iocb->aio_fildes = a[2] < 0 ? (int)a[2] : fd_of(a[2] % FILES);
	iocb->u.c.flags = (unsigned)a[6];
	iocb->aio_rw_flags = (int)a[7];
	iocb->u.c.resfd = a[8] < 0 ? (unsigned)a[8] : (unsigned)fd_of(a[8] % FILES);
	if (opcode == IO_CMD_POLL) {
		iocb->u.poll.events = (int)length;
	} else if (opcode == IO_CMD_PREADV || opcode == IO_CMD_PWRITEV) {
		struct iovec *vector = memory->vectors[slot];
		long count = a[3] == 7 ? 1025 : 3;

		for (long i = 0; i < count; i++)
			vector[i] = (struct iovec){ buffer + i * 1024 % BUFFER, (size_t)(length / 3 & ~511l) };
		vector[1].iov_len += (size_t)(length - length / 3 / 512 * 512 * 3);
		if (a[3] == 8)
			vector[2].iov_len = (size_t)-1;
		if (a[3] >= 1 && a[3] <= 5)
			vector[2].iov_base = bad_address(a[3]);
		iocb->u.c.buf = a[3] == 6 ? edge + PAGE - 24 : (void *)vector;
		if (a[3] == 6)
			memcpy(iocb->u.c.buf, vector, 24);
		iocb->u.c.nbytes = (unsigned long)(a[3] == 9 ? 0 : count);
		iocb->u.c.offset = a[5];
	} else if (opcode != IO_CMD_FSYNC && opcode != IO_CMD_FDSYNC) {
		iocb->u.c.buf = a[3] == 7 ? buffer + 1 : a[3] && a[3] < 7 ? bad_address(a[3]) : buffer;
		iocb->u.c.nbytes = (unsigned long)length;
		iocb->u.c.offset = a[5];
	}
	switch (a[9]) {
	case 1:
		iocb->u.c.__pad3 = 1;
		break;
	case 2:
		iocb->u.c.nbytes = 1ul << 63;
		break;
	case 3:
		iocb->key = 77;
		break;
	case 4:
		iocb->aio_reqprio = 7 << 13;
		break;
	case 5:
		iocb->u.c.offset = -1;
		break;
	case 6:
		iocb->u.c.nbytes += 1;
		break;
	default:
		break;
	}
	if (opcode == IO_CMD_PWRITE || opcode == IO_CMD_PWRITEV)
		for (int i = 0; i < BUFFER; i++)
			buffer[i] = (char)(request_count * 31 + slot + i / 64);
	/* A number that an eventfd takes. */
	if (opcode == IO_CMD_PWRITE && length == 8)
		*(uint64_t *)buffer = 3;
}

/* Whether a transfer of a stream may sleep. */
static bool may_sleep(const struct iocb *iocb)
{
	int fd = iocb->aio_fildes;

	return fd >= 20 && fd < 20 + FILES && is_stream(files[fd - 20].kind) &&
	       is_transfer(iocb->aio_lio_opcode) && !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/*
 * Flags that the file does not have, perhaps together with another error: which of the two is told may
 * differ, says the README.
 */
static bool has_unlikely_flags(const struct iocb *iocb)
{
	int fd = iocb->aio_fildes;

	return is_transfer(iocb->aio_lio_opcode) && iocb->aio_rw_flags & (RWF_NOWAIT | 0x40 | 0x80) &&
	       !(fd >= 20 && fd < 20 + FILES && is_regular(files[fd - 20].kind) &&
		 files[fd - 20].kind != READ_ONLY && files[fd - 20].kind != WRITE_ONLY);
}

/* After each page a read of zeros looks for signals and for completions of io_uring: see the README. */
static bool may_be_cut(const struct iocb *iocb)
{
	int fd = iocb->aio_fildes, opcode = iocb->aio_lio_opcode;

	return fd >= 20 && fd < 20 + FILES &&
	       (files[fd - 20].kind == DEV_ZERO || files[fd - 20].kind == DEV_FULL) &&
	       (opcode == IO_CMD_PREADV || (opcode == IO_CMD_PREAD && iocb->u.c.nbytes > PAGE));
}

/* A poll of a socket for urgent data alone ends by any data in the kernel: see the README. */
static bool is_poll_for_data_beside(const struct iocb *iocb)
{
	int fd = iocb->aio_fildes;

	return iocb->aio_lio_opcode == IO_CMD_POLL && iocb->u.poll.events & POLLPRI &&
	       !(iocb->u.poll.events & POLLIN) && fd >= 20 && fd < 20 + FILES &&
	       is_stream(files[fd - 20].kind);
}

/* submit(T, C, VIA, NR, BAD, COUNT, SLOT...): NR of -1000 is the number of iocbs. */
static void submit_here(const long *a)
{
	long c = context_number(a[1]), count = a[5] % (IOCBS + 1), used = 0, value, nr;
	bool is_sleepy = false;
	struct iocb **list = memory->list;
	long first = request_count;

	for (long i = 0; i < count; i++)
		is_sleepy = is_sleepy || may_sleep(&memory->iocbs[a[6 + i] % IOCBS]);
	for (long i = 0; i < count; i++) {
		long slot = a[6 + i] % IOCBS;
		struct iocb *iocb = &memory->iocbs[slot];
		long before = iocb->aio_fildes >= 20 && iocb->aio_fildes < 20 + FILES ?
				      size_of_inode[files[iocb->aio_fildes - 20].inode] :
				      0;
		struct request request = describe(c, slot);
		bool is_odd = request_count == REQUESTS || has_conflict(&request) ||
			      has_unlikely_flags(iocb) || is_poll_for_data_beside(iocb) ||
			      (is_transfer(request.opcode) && is_polled(request.inode)) ||
			      is_signalled(request.inode) || may_be_cut(iocb) ||
			      (iocb->aio_rw_flags & RWF_NOWAIT &&
			       (request.is_async || is_busy(request.inode))) ||
			      (is_sleepy && request.is_async);

		for (long k = first; k < request_count; k++)
			is_odd = is_odd || (requests[k].slot == slot && request.is_async);
		if (is_odd) {
			if (request.inode >= 0)
				size_of_inode[request.inode] = before;
			continue;
		}
		iocb->data = (void *)(request_count + 1);
		/* One iocb that is submitted twice has the data of its last request. */
		for (long k = first; k < request_count; k++)
			if (requests[k].slot == slot)
				requests[k].same = request_count;
		request.same = request_count;
		list[used++] = iocb;
		requests[request_count++] = request;
	}
	nr = a[3] == -1000 ? used : a[3];
	if (nr > used)
		nr = used;
	switch (a[4]) {
	case 1:
		list = NULL;
		break;
	case 2:
		list[used ? used - 1 : 0] = NULL;
		break;
	case 3:
		list[used ? used - 1 : 0] = (struct iocb *)kernel;
		break;
	case 4:
		list = (struct iocb **)(edge + PAGE) - (used ? used - 1 : 0);
		memcpy(list, memory->list, (size_t)((edge + PAGE) - (char *)list));
		break;
	case 5:
		/* The key cannot be written. */
		mprotect(read_only, PAGE, PROT_READ | PROT_WRITE);
		memcpy(read_only, memory->iocbs, sizeof(memory->iocbs));
		mprotect(read_only, PAGE, PROT_READ);
		if (used)
			list[used - 1] = (struct iocb *)read_only + (list[used - 1] - memory->iocbs);
		break;
	case 6:
		list[used ? used - 1 : 0] = (struct iocb *)(edge + PAGE - 32);
		break;
	default:
		break;
	}
	if (is_sleepy)
		rescue_after(40);
	errno = UNTOUCHED;
	if (a[2] == RAW) {
		value = raw(syscall(SYS_io_submit, contexts[c], nr, list));
		errno = UNTOUCHED;
	} else {
		value = io_submit(contexts[c], nr, list);
	}
	if (is_sleepy)
		rescue_after(0);
	for (long k = first + (value > 0 ? value : 0); k < request_count; k++)
		requests[k].is_live = false;
	tell("submit %ld of %ld", used, nr);
	tell_value("", c, value);
	for (long k = first; k < request_count; k++)
		if (memory->iocbs[requests[k].slot].key)
			tell(" key %u", memory->iocbs[requests[k].slot].key);
	tell("\n");
}

static void submit(const long *a)
{
	in_thread(a[0], submit_here, a);
}

static int take(long via, long c, long min, long nr, struct io_event *events, struct timespec *timeout,
		sigset_t *mask)
{
	struct {
		sigset_t *set;
		size_t size;
	} sized = { mask, 8 };

	switch (via) {
	case RAW:
		return (int)raw(syscall(SYS_io_getevents, contexts[c], min, nr, events, timeout));
	case MASKED:
		return io_pgetevents(contexts[c], min, nr, events, timeout, mask);
	case RAW_MASKED:
		return (int)raw(syscall(SYS_io_pgetevents, contexts[c], min, nr, events, timeout, &sized));
	default:
		return io_getevents(contexts[c], min, nr, events, timeout);
	}
}

/* Takes everything that has to come, and what else is there. */
static void collect_from(long c, long via)
{
	struct io_event *events = memory->events;
	struct timespec patience = { 4, 0 }, zero = { 0, 0 };
	long due = count_live(c, is_due), got = 0;
	int value = 0, empty = 0;

	if (!is_alive[c])
		return;
	while (due > 0 && got < 100) {
		value = take(via, c, 1, 128 - got, events + got, &patience, NULL);
		if (value == -EINTR)
			continue;
		if (value <= 0)
			break;
		for (int i = 0; i < value; i++, got++)
			due -= (long)events[got].data - 1 < request_count && (long)events[got].data > 0 &&
			       is_due(&requests[(long)events[got].data - 1]);
	}
	/* Polls, if any: the kernel looks at some of them in another thread. */
	while (empty < 2 && got < 120) {
		if (count_live(c, is_unsettled) > 0 || empty == 0)
			nap(count_live(c, is_unsettled) > 0 ? 3000 : 0);
		value = take(LIBRARY, c, 0, 128 - got, events + got, &zero, NULL);
		empty = value > 0 ? 0 : empty + 1;
		got += value > 0 ? value : 0;
	}
	qsort(events, (size_t)got, sizeof(events[0]), by_number);
	tell("collect %ld:", c);
	for (long i = 0; i < got; i++)
		tell_event(&events[i]);
	if (due > 0)
		tell(" MISSING %ld (%d)", due, value);
	tell_signals();
	tell("\n");
}

/* collect(T, C, VIA) */
static void collect_here(const long *a)
{
	collect_from(context_number(a[1]), a[2] == OLD ? LIBRARY : a[2]);
}

static void collect(const long *a)
{
	in_thread(a[0], collect_here, a);
}

/* getevents(T, C, VIA, MIN, NR, TIMEOUT, BAD, MASK) */
static void getevents_here(const long *a)
{
	static const struct timespec times[] = { { 0, 0 },     { 0, 3000000 }, { -1, 0 }, { 0, 2000000 },
						 { 5, -5000000000 }, { 0, -1 },	     { -1, 1002000000 } };
	long c = context_number(a[1]), via = safe_via(a[2], c), min = a[3], nr = a[4];
	struct timespec time = times[(unsigned long)a[5] % 7], *timeout = &time;
	struct io_event *events = a[6] ? bad_address(a[6]) : memory->events;
	sigset_t mask, *masked = NULL;
	int value;

	if (!is_settled(c))
		return collect_from(c, via == OLD ? LIBRARY : via);
	if (nr > 100)
		nr = 100;
	sigemptyset(&mask);
	if (a[7] == 2)
		sigaddset(&mask, SIGUSR1);
	if (a[7])
		masked = a[7] > 2 ? bad_address(a[7] - 2) : &mask;
	/* What is left there would block any signal. */
	if ((char *)masked == edge + PAGE - 8)
		memset(masked, 0, 8);
	if (a[5] == 7)
		timeout = NULL;
	if (a[5] == 8 && via != LIBRARY && via != MASKED && via != OLD)
		timeout = bad_address(3);
	if (a[5] == 2 || a[5] == 5 || a[5] == 7)
		rescue_after(25);
	errno = UNTOUCHED;
	if (via == OLD) {
		int (*old)(io_context_t, long, struct io_event *, const struct timespec *) =
			(int (*)(io_context_t, long, struct io_event *, const struct timespec *))dlvsym(
				RTLD_DEFAULT, "io_getevents", "LIBAIO_0.1");

		errno = UNTOUCHED;
		value = old ? old(contexts[c], nr, events, timeout) : -9999;
	} else {
		value = take(via, c, min, nr, events, timeout, masked);
	}
	if (via == RAW || via == RAW_MASKED)
		errno = UNTOUCHED;
	rescue_after(0);
	tell_value("getevents", c, value);
	for (int i = 0; i < value; i++)
		tell_event(&events[i]);
	tell("\n");
}

static void getevents(const long *a)
{
	in_thread(a[0], getevents_here, a);
}

/* cancel(T, C, VIA, S): S of -1, -2, ... is a bad address. */
static void cancel_here(const long *a)
{
	long c = context_number(a[1]), value;
	struct iocb *iocb = a[3] < 0 ? bad_address(-a[3]) : &memory->iocbs[a[3] % IOCBS];
	struct io_event event = { 0 };

	/* divergence: ours cancels reads, writes and syncs that nobody has begun. */
	/* And what is in flight may signal an eventfd that the iocb polls. */
	for (long i = 0; i < request_count; i++)
		if (requests[i].is_live && requests[i].is_async)
			collect_from(requests[i].context, LIBRARY);
	nap(count_live(c, is_unsettled) ? 1500 : 0);
	errno = UNTOUCHED;
	if (a[2] == RAW) {
		value = raw(syscall(SYS_io_cancel, contexts[c], iocb, &event));
		errno = UNTOUCHED;
	} else if (a[2] == OLD) {
		int (*old)(io_context_t, struct iocb *) =
			(int (*)(io_context_t, struct iocb *))dlvsym(RTLD_DEFAULT, "io_cancel",
								     "LIBAIO_0.1");

		errno = UNTOUCHED;
		value = old ? old(contexts[c], iocb) : -9999;
	} else {
		value = io_cancel(contexts[c], iocb, &event);
	}
	tell_value("cancel", c, value);
	if (event.data || event.obj || event.res)
		tell(" event written");
	tell("\n");
}

static void cancel(const long *a)
{
	in_thread(a[0], cancel_here, a);
}

static void told_by_callback(io_context_t context, struct iocb *iocb, long res, long res2)
{
	bool is_known = context && iocb >= memory->iocbs && iocb < memory->iocbs + IOCBS;

	tell(" <%s %ld %ld>", is_known ? "iocb" : "stranger", res, res2);
}

/* queue_run(T, C): the data of an iocb is its callback then, so one is submitted just for that. */
static void queue_run_here(const long *a)
{
	long c = context_number(a[1]);
	struct iocb *iocb = &memory->iocbs[0], *list[] = { iocb };
	int value;

	if (!is_alive[c])
		return;
	collect_from(c, LIBRARY);
	if (count_live(c, is_unsettled) > 0)
		return;
	io_prep_pread(iocb, fd_of(a[2] % FILES), NULL, 0, 0);
	if (is_polled(files[a[2] % FILES].inode) || may_sleep(iocb))
		return;
	io_set_callback(iocb, told_by_callback);
	value = io_submit(contexts[c], 1, list);
	tell("queue_run after %d", value);
	errno = UNTOUCHED;
	value = io_queue_run(contexts[c]);
	/* An address, which is another one in each run. */
	iocb->data = NULL;
	tell_value("", c, value);
	tell("\n");
}

static void queue_run(const long *a)
{
	in_thread(a[0], queue_run_here, a);
}

/* queue_wait(T, C, TIMEOUT) */
static void queue_wait_here(const long *a)
{
	long c = context_number(a[1]);
	struct timespec time = { 0, a[2] * 1000000 };

	if (safe_via(LIBRARY, c) != LIBRARY)
		return;
	errno = UNTOUCHED;
	tell_value("queue_wait", c, io_queue_wait(contexts[c], a[2] < 0 ? NULL : &time));
	tell("\n");
}

static void queue_wait(const long *a)
{
	in_thread(a[0], queue_wait_here, a);
}

/* head(C, COUNT): the program takes events out of the ring by itself. */
static void head(const long *a)
{
	long c = context_number(a[0]);
	unsigned *ring = (unsigned *)contexts[c];

	if (!is_alive[c] || !is_settled(c))
		return;
	tell("head %ld:", c);
	for (long i = 0; i < a[1] && ring[2] != __atomic_load_n(&ring[3], __ATOMIC_ACQUIRE); i++) {
		tell_event((struct io_event *)(ring + 8) + ring[2]);
		__atomic_store_n(&ring[2], (ring[2] + 1) % ring[1], __ATOMIC_RELEASE);
	}
	tell("\n");
}

#endif
