/*
 * Holds libaio.h against the numbers in members.h, for any target: only the compiler is needed.
 * ABI is le64, le32, be64 or be32.
 */
#include "libaio.h"
#include "members.h"

#define JOIN(a, b) a##b
#define CHOOSE(prefix, abi) JOIN(prefix, abi)

#define OFFSET_le64(le64, le32, be64, be32) le64
#define OFFSET_le32(le64, le32, be64, be32) le32
#define OFFSET_be64(le64, le32, be64, be32) be64
#define OFFSET_be32(le64, le32, be64, be32) be32

#define BITS_le64 64
#define BITS_le32 32
#define BITS_be64 64
#define BITS_be32 32
#define BITS CHOOSE(BITS_, ABI)

#define LITTLE_le64 1
#define LITTLE_le32 1
#define LITTLE_be64 0
#define LITTLE_be32 0

_Static_assert(__SIZEOF_POINTER__ * 8 == BITS, "the target's pointers are not those of ABI");
_Static_assert(LITTLE_ENDIAN_MACHINE == CHOOSE(LITTLE_, ABI), "the byte order is not that of ABI");

#define CHECK(type, member, kernel, size64, size32, le64, le32, be64, be32) \
	_Static_assert(OFFSET(type, member) == CHOOSE(OFFSET_, ABI)(le64, le32, be64, be32), \
		       "offset of " #type "." #member); \
	_Static_assert(SIZE(type, member) == (BITS == 64 ? size64 : size32), \
		       "size of " #type "." #member);
IOCB_MEMBERS(CHECK)
EVENT_MEMBERS(CHECK)
OTHER_MEMBERS(CHECK)

_Static_assert(OFFSET(iocb, u) == 24, "offset of iocb.u");
_Static_assert(SIZE(iocb, u) == 40, "size of iocb.u");
_Static_assert(sizeof(struct iocb) == 64, "size of iocb");
_Static_assert(sizeof(struct io_event) == 32, "size of io_event");
_Static_assert(sizeof(struct io_iocb_common) == 40, "size of io_iocb_common");
_Static_assert(sizeof(struct io_iocb_vector) == 24, "size of io_iocb_vector");
_Static_assert(sizeof(struct io_iocb_poll) == 8, "size of io_iocb_poll");
_Static_assert(sizeof(struct io_iocb_sockaddr) == 16, "size of io_iocb_sockaddr");
_Static_assert(sizeof(io_callback_t) == SIZE(iocb, data), "a callback fits into data");
