/*
 * Prints what a program can learn of libaio.h: compiled with libaio's own header and with ours, the
 * text must be the same.
 */
#include <libaio.h>

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define NAME_OF_TYPE(value) \
	_Generic((value), \
		 short: "short", unsigned short: "unsigned short", \
		 int: "int", unsigned: "unsigned", \
		 long: "long", unsigned long: "unsigned long", \
		 long long: "long long", unsigned long long: "unsigned long long", \
		 void *: "void *", const struct iovec *: "const struct iovec *", \
		 struct sockaddr *: "struct sockaddr *", struct iocb *: "struct iocb *", \
		 default: "another type")

#define MEMBER(type, member) \
	printf(#type "." #member ": %s, %zu bytes at %zu\n", \
	       NAME_OF_TYPE(((struct type *)0)->member), sizeof(((struct type *)0)->member), \
	       __builtin_offsetof(struct type, member));

#define STRUCTURE(type) \
	printf("struct " #type ": %zu bytes, aligned to %zu\n", sizeof(struct type), \
	       _Alignof(struct type));

/* A function's type, to the last const. */
#define FUNCTION(name, ...) \
	printf(#name " is " #__VA_ARGS__ ": %d\n", \
	       __builtin_types_compatible_p(__typeof__(name), __VA_ARGS__));

#define CONSTANT(name) printf(#name " = %lld, %s\n", (long long)(name), NAME_OF_TYPE(name));

static void structures(void)
{
	STRUCTURE(io_iocb_poll)
	MEMBER(io_iocb_poll, events)
	MEMBER(io_iocb_poll, __pad1)
	STRUCTURE(io_iocb_sockaddr)
	MEMBER(io_iocb_sockaddr, addr)
	MEMBER(io_iocb_sockaddr, len)
	STRUCTURE(io_iocb_common)
	MEMBER(io_iocb_common, buf)
	MEMBER(io_iocb_common, nbytes)
	MEMBER(io_iocb_common, offset)
	MEMBER(io_iocb_common, __pad3)
	MEMBER(io_iocb_common, flags)
	MEMBER(io_iocb_common, resfd)
	STRUCTURE(io_iocb_vector)
	MEMBER(io_iocb_vector, vec)
	MEMBER(io_iocb_vector, nr)
	MEMBER(io_iocb_vector, offset)
	STRUCTURE(iocb)
	MEMBER(iocb, data)
	MEMBER(iocb, key)
	MEMBER(iocb, aio_rw_flags)
	MEMBER(iocb, aio_lio_opcode)
	MEMBER(iocb, aio_reqprio)
	MEMBER(iocb, aio_fildes)
	MEMBER(iocb, u)
	MEMBER(iocb, u.c)
	MEMBER(iocb, u.v)
	MEMBER(iocb, u.poll)
	MEMBER(iocb, u.saddr)
	STRUCTURE(io_event)
	MEMBER(io_event, data)
	MEMBER(io_event, obj)
	MEMBER(io_event, res)
	MEMBER(io_event, res2)
	STRUCTURE(io_sigset)
	MEMBER(io_sigset, ss)
	MEMBER(io_sigset, ss_len)
	STRUCTURE(io_sigset_compat)
	MEMBER(io_sigset_compat, ss)
	MEMBER(io_sigset_compat, ss_len)
#if __SIZEOF_POINTER__ == 4
	MEMBER(io_iocb_sockaddr, __pad1)
	MEMBER(io_iocb_sockaddr, __pad2)
	MEMBER(io_iocb_common, __pad1)
	MEMBER(io_iocb_common, __pad2)
	MEMBER(io_iocb_vector, __pad1)
	MEMBER(io_iocb_vector, __pad2)
	MEMBER(iocb, __pad1)
	MEMBER(io_event, __pad1)
	MEMBER(io_event, __pad2)
	MEMBER(io_event, __pad3)
	MEMBER(io_event, __pad4)
	MEMBER(io_sigset_compat, __ss_pad)
#endif
}

static void constants(void)
{
	CONSTANT(IO_CMD_PREAD)
	CONSTANT(IO_CMD_PWRITE)
	CONSTANT(IO_CMD_FSYNC)
	CONSTANT(IO_CMD_FDSYNC)
	CONSTANT(IO_CMD_POLL)
	CONSTANT(IO_CMD_NOOP)
	CONSTANT(IO_CMD_PREADV)
	CONSTANT(IO_CMD_PWRITEV)
	printf("io_iocb_cmd_t: %zu bytes, %s, enum io_iocb_cmd %d\n",
	       sizeof(io_iocb_cmd_t), NAME_OF_TYPE((io_iocb_cmd_t)0),
	       __builtin_types_compatible_p(io_iocb_cmd_t, enum io_iocb_cmd));
	printf("io_context_t is struct io_context *: %d\n",
	       __builtin_types_compatible_p(io_context_t, struct io_context *));
	printf("io_callback_t: %d\n",
	       __builtin_types_compatible_p(io_callback_t,
					    void (*)(io_context_t, struct iocb *, long, long)));
}

static void functions(void)
{
	FUNCTION(io_queue_init, int(int, io_context_t *))
	FUNCTION(io_queue_release, int(io_context_t))
	FUNCTION(io_queue_run, int(io_context_t))
	FUNCTION(io_setup, int(int, io_context_t *))
	FUNCTION(io_destroy, int(io_context_t))
	FUNCTION(io_submit, int(io_context_t, long, struct iocb **))
	FUNCTION(io_cancel, int(io_context_t, struct iocb *, struct io_event *))
	FUNCTION(io_getevents,
		 int(io_context_t, long, long, struct io_event *, struct timespec *))
	FUNCTION(io_pgetevents,
		 int(io_context_t, long, long, struct io_event *, struct timespec *, sigset_t *))
	FUNCTION(io_set_callback, void(struct iocb *, io_callback_t))
	FUNCTION(io_prep_pread, void(struct iocb *, int, void *, size_t, long long))
	FUNCTION(io_prep_pwrite, void(struct iocb *, int, void *, size_t, long long))
	FUNCTION(io_prep_preadv, void(struct iocb *, int, const struct iovec *, int, long long))
	FUNCTION(io_prep_pwritev, void(struct iocb *, int, const struct iovec *, int, long long))
	FUNCTION(io_prep_preadv2,
		 void(struct iocb *, int, const struct iovec *, int, long long, int))
	FUNCTION(io_prep_pwritev2,
		 void(struct iocb *, int, const struct iovec *, int, long long, int))
	FUNCTION(io_prep_poll, void(struct iocb *, int, int))
	FUNCTION(io_poll, int(io_context_t, struct iocb *, io_callback_t, int, int))
	FUNCTION(io_prep_fsync, void(struct iocb *, int))
	FUNCTION(io_fsync, int(io_context_t, struct iocb *, io_callback_t, int))
	FUNCTION(io_prep_fdsync, void(struct iocb *, int))
	FUNCTION(io_fdsync, int(io_context_t, struct iocb *, io_callback_t, int))
	FUNCTION(io_set_eventfd, void(struct iocb *, int))
}

/* Every byte of the iocb that a helper works on, before and behind it as well. */
static struct {
	unsigned char before[16];
	struct iocb iocb;
	unsigned char behind[16];
} place;

static void tell(const char *what)
{
	printf("%s:", what);
	for (size_t i = 0; i < sizeof(place); i++)
		printf(" %02x", ((unsigned char *)&place)[i]);
	putchar('\n');
}

#define EFFECT(...) \
	do { \
		memset(&place, 0xa5, sizeof(place)); \
		__VA_ARGS__; \
		tell(#__VA_ARGS__); \
	} while (0)

/* In place of the library's, for the helpers that submit. */
int io_submit(io_context_t ctx, long nr, struct iocb **list)
{
	printf("io_submit(%p, %ld, %s) ", (void *)ctx, nr,
	       list[0] == &place.iocb ? "the iocb" : "something else");
	return -11;
}

#define SUBMITTED(...) EFFECT(printf("%d ", __VA_ARGS__))

/* Numbers whose bytes differ; addresses that are the same in both programs. */
#define BUFFER ((void *)0x12345678)
#define VECTOR ((const struct iovec *)0x23456789)
#define CONTEXT ((io_context_t)0x3456789a)
#define CALLBACK ((io_callback_t)0x456789ab)
#define OFFSET 0x0123456789abcdefLL

static void effects(void)
{
	EFFECT(io_prep_pread(&place.iocb, 0x31, BUFFER, 0xfedcba98u, OFFSET));
	EFFECT(io_prep_pread(&place.iocb, -1, NULL, (size_t)-1, -OFFSET));
	EFFECT(io_prep_pwrite(&place.iocb, 0x32, BUFFER, 0xfedcba98u, OFFSET));
	EFFECT(io_prep_pwrite(&place.iocb, -1, NULL, (size_t)-1, -OFFSET));
	EFFECT(io_prep_preadv(&place.iocb, 0x33, VECTOR, 0x76543210, OFFSET));
	EFFECT(io_prep_preadv(&place.iocb, -1, NULL, -2, -OFFSET));
	EFFECT(io_prep_pwritev(&place.iocb, 0x34, VECTOR, 0x76543210, OFFSET));
	EFFECT(io_prep_pwritev(&place.iocb, -1, NULL, -2, -OFFSET));
	EFFECT(io_prep_preadv2(&place.iocb, 0x35, VECTOR, 0x76543210, OFFSET, 0x13579bdf));
	EFFECT(io_prep_preadv2(&place.iocb, -1, NULL, -2, -OFFSET, -3));
	EFFECT(io_prep_pwritev2(&place.iocb, 0x36, VECTOR, 0x76543210, OFFSET, 0x13579bdf));
	EFFECT(io_prep_pwritev2(&place.iocb, -1, NULL, -2, -OFFSET, -3));
	EFFECT(io_prep_poll(&place.iocb, 0x37, 0x2468ace0));
	EFFECT(io_prep_poll(&place.iocb, -1, -4));
	EFFECT(io_prep_fsync(&place.iocb, 0x38));
	EFFECT(io_prep_fdsync(&place.iocb, 0x39));
	EFFECT(io_set_callback(&place.iocb, CALLBACK));
	EFFECT(io_set_callback(&place.iocb, (io_callback_t)0));
	EFFECT(io_set_eventfd(&place.iocb, 0x3a));
	EFFECT(io_set_eventfd(&place.iocb, -1));
	EFFECT(place.iocb.u.c.flags = 0, io_set_eventfd(&place.iocb, 0x3b));
	SUBMITTED(io_poll(CONTEXT, &place.iocb, CALLBACK, 0x3c, 0x2468ace0));
	SUBMITTED(io_fsync(CONTEXT, &place.iocb, CALLBACK, 0x3d));
	SUBMITTED(io_fdsync(CONTEXT, &place.iocb, CALLBACK, 0x3e));
}

/* The members one by one, as programs do that use no helper. */
static void assignments(void)
{
	EFFECT(place.iocb.u.v.vec = VECTOR);
	EFFECT(place.iocb.u.v.nr = 2);
	EFFECT(place.iocb.u.v.nr = (unsigned long)-2);
	EFFECT(place.iocb.u.v.offset = OFFSET);
	EFFECT(place.iocb.u.saddr.addr = BUFFER);
	EFFECT(place.iocb.u.saddr.len = 16);
	EFFECT(place.iocb.u.poll.events = 0x2468ace0);
	EFFECT(place.iocb.u.c.buf = BUFFER);
	EFFECT(place.iocb.u.c.nbytes = 4096);
	EFFECT(place.iocb.u.c.offset = OFFSET);
	EFFECT(place.iocb.data = BUFFER);
	EFFECT(place.iocb.key = 0x10203040);
	EFFECT(place.iocb.aio_rw_flags = 0x50607080);
}

int main(void)
{
	structures();
	constants();
	functions();
	effects();
	assignments();
	return 0;
}
