/* An io_uring of the program's own, as far as tests need one. */
#ifndef OWN_IO_URING_H
#define OWN_IO_URING_H

#include "check.h"

#include <linux/io_uring.h>

struct own_ring {
	int fd;
	unsigned *sq_head, *sq_tail, *cq_head, *cq_tail;
	unsigned mask;
	unsigned *array;
	struct io_uring_sqe *sqes;
};

static inline void *map_ring(int fd, size_t size, long long offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			    (off_t)offset);

	return memory == MAP_FAILED ? die("mmap of an io_uring"), NULL : memory;
}

static inline struct own_ring new_own_ring(unsigned entries)
{
	struct io_uring_params parameters = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, entries, &parameters);
	char *sq, *cq;

	if (fd == -1)
		skip("no io_uring: %s", strerror(errno));
	sq = map_ring(fd, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned),
		      IORING_OFF_SQ_RING);
	cq = map_ring(fd, parameters.cq_off.cqes +
			  parameters.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	return (struct own_ring){
		.fd = fd,
		.sq_head = (unsigned *)(sq + parameters.sq_off.head),
		.sq_tail = (unsigned *)(sq + parameters.sq_off.tail),
		.cq_head = (unsigned *)(cq + parameters.cq_off.head),
		.cq_tail = (unsigned *)(cq + parameters.cq_off.tail),
		.mask = parameters.sq_entries - 1,
		.array = (unsigned *)(sq + parameters.sq_off.array),
		.sqes = map_ring(fd, parameters.sq_entries * sizeof(struct io_uring_sqe),
				 IORING_OFF_SQES),
	};
}

/* Puts a no-op into the ring and does not submit it. */
static inline void put_nop(struct own_ring *ring, unsigned long long data)
{
	unsigned tail = *ring->sq_tail, slot = tail & ring->mask;

	ring->sqes[slot] = (struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data };
	ring->array[slot] = slot;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static inline unsigned unsubmitted(const struct own_ring *ring)
{
	return __atomic_load_n(ring->sq_tail, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}

static inline unsigned completed(const struct own_ring *ring)
{
	return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(ring->cq_head, __ATOMIC_ACQUIRE);
}

#endif
