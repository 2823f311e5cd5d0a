/*
 * Every member of the structures of libaio.h: the kernel's name, its size on 64-bit and 32-bit
 * machines, and its offset on little-endian 64 and 32, big-endian 64 and 32.
 */
#define IOCB_MEMBERS(_) \
	_(iocb, data, aio_data, 8, 4, 0, 0, 0, 4) \
	_(iocb, key, aio_key, 4, 4, 8, 8, 12, 12) \
	_(iocb, aio_rw_flags, aio_rw_flags, 4, 4, 12, 12, 8, 8) \
	_(iocb, aio_lio_opcode, aio_lio_opcode, 2, 2, 16, 16, 16, 16) \
	_(iocb, aio_reqprio, aio_reqprio, 2, 2, 18, 18, 18, 18) \
	_(iocb, aio_fildes, aio_fildes, 4, 4, 20, 20, 20, 20) \
	_(iocb, u.c.buf, aio_buf, 8, 4, 24, 24, 24, 28) \
	_(iocb, u.c.nbytes, aio_nbytes, 8, 4, 32, 32, 32, 36) \
	_(iocb, u.c.offset, aio_offset, 8, 8, 40, 40, 40, 40) \
	_(iocb, u.c.__pad3, aio_reserved2, 8, 8, 48, 48, 48, 48) \
	_(iocb, u.c.flags, aio_flags, 4, 4, 56, 56, 56, 56) \
	_(iocb, u.c.resfd, aio_resfd, 4, 4, 60, 60, 60, 60) \
	_(iocb, u.v.vec, aio_buf, 8, 4, 24, 24, 24, 28) \
	_(iocb, u.v.nr, aio_nbytes, 8, 4, 32, 32, 32, 36) \
	_(iocb, u.v.offset, aio_offset, 8, 8, 40, 40, 40, 40) \
	_(iocb, u.poll.events, aio_buf, 4, 4, 24, 24, 28, 28)

#define EVENT_MEMBERS(_) \
	_(io_event, data, data, 8, 4, 0, 0, 0, 4) \
	_(io_event, obj, obj, 8, 4, 8, 8, 8, 12) \
	_(io_event, res, res, 8, 4, 16, 16, 16, 20) \
	_(io_event, res2, res2, 8, 4, 24, 24, 24, 28)

/* The kernel has no names for these. */
#define OTHER_MEMBERS(_) \
	_(iocb, u.poll.__pad1, , 4, 4, 28, 28, 24, 24) \
	_(iocb, u.saddr.addr, , 8, 4, 24, 24, 24, 28) \
	_(iocb, u.saddr.len, , 8, 4, 32, 32, 32, 36)

#define LITTLE_ENDIAN_MACHINE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define SIZE(type, member) sizeof(((struct type *)0)->member)
#define OFFSET(type, member) __builtin_offsetof(struct type, member)
