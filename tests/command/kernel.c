/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A library that passes for ours and calls the kernel: what `uaio run` must not be content with.
 */
#include <libaio.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * What `uaio install` looks for before it replaces a file, and what `uaio run` knows the library by:
 * a variable that it looks at.
 */
const char marks[] __attribute__((used)) = "uaio UAIO_ENGINE";

static long enter(long number, const long *args)
{
#if defined(__x86_64__)
	register long fourth __asm__("r10") = args[3];
	register long fifth __asm__("r8") = args[4];
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(fourth),
			   "r"(fifth)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = args[0];
	register long x1 __asm__("x1") = args[1];
	register long x2 __asm__("x2") = args[2];
	register long x3 __asm__("x3") = args[3];
	register long x4 __asm__("x4") = args[4];

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
#else
#error "kernel.c: how does a system call look here?"
#endif
}

#define ENTER(number, ...) (int)enter(number, (long[5]){ __VA_ARGS__ })

int io_setup(int maxevents, io_context_t *ctxp)
{
	return ENTER(SYS_io_setup, maxevents, (long)ctxp);
}

int io_destroy(io_context_t ctx)
{
	return ENTER(SYS_io_destroy, (long)ctx);
}

int io_submit(io_context_t ctx, long nr, struct iocb **ios)
{
	return ENTER(SYS_io_submit, (long)ctx, nr, (long)ios);
}

int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *evt)
{
	return ENTER(SYS_io_cancel, (long)ctx, (long)iocb, (long)evt);
}

int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout)
{
	return ENTER(SYS_io_getevents, (long)ctx, min_nr, nr, (long)events, (long)timeout);
}
