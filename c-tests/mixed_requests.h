/* Requests of every kind that end by themselves: where their events come from differs. */
#ifndef MIXED_REQUESTS_H
#define MIXED_REQUESTS_H

#include "pending.h"

/* Made once, for all threads. */
static struct mixed {
	int direct, plain, readable, writable;
	char *memory;
} mixed;

#define MIXED_BLOCKS 64ul

static inline void mixed_prepare(void)
{
	struct channel channel = new_pipe();

	mixed.direct = scratch_direct("mixed", MIXED_BLOCKS * PAGE, 'm');
	mixed.plain = scratch("mixed", 0);
	mixed.readable = channel.in;
	mixed.writable = channel.out;
	mixed.memory = pages(MIXED_BLOCKS, PROT_READ | PROT_WRITE);
	feed(channel.out);
}

/* Numbers that look random; the state is any number but 0. */
static inline unsigned roll(unsigned *state, unsigned below)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % below;
}

/*
 * One of: direct read, direct overwrite of a block that nobody reads, sync, buffered read, poll
 * that is ready. Nothing but direct I/O where only is true.
 */
static inline void mixed_iocb(struct iocb *iocb, unsigned *state, bool only_direct)
{
	unsigned kind = only_direct ? 0 : roll(state, 10);
	long long block = roll(state, MIXED_BLOCKS - 1);
	char *memory = mixed.memory + (unsigned long)block * PAGE;
	long long offset = block * (long long)PAGE;

	if (kind <= 4) {
		io_prep_pread(iocb, mixed.direct, memory, PAGE, offset);
	} else if (kind == 5) {
		offset = (MIXED_BLOCKS - 1) * PAGE;
		io_prep_pwrite(iocb, mixed.direct, mixed.memory + offset, PAGE, offset);
	} else if (kind == 6) {
		io_prep_fdsync(iocb, mixed.direct);
	} else if (kind == 7) {
		io_prep_pread(iocb, mixed.plain, memory, 100, offset);
	} else {
		io_prep_poll(iocb, kind == 8 ? mixed.readable : mixed.writable,
			     kind == 8 ? POLLIN : POLLOUT);
	}
}

/* Whether the event has the result that its request must have. */
static inline bool mixed_is_good(short opcode, unsigned long length, long res)
{
	switch (opcode) {
	case IO_CMD_PREAD:
	case IO_CMD_PWRITE:
		return res == (long)length;
	case IO_CMD_POLL:
		return res > 0 && (res & (POLLIN | POLLOUT));
	default:
		return res == 0;
	}
}

#endif
