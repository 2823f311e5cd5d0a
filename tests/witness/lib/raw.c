/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * syscall(), for programs that call past libaio (MariaDB, nginx, stress-ng). What is not of interest
 * goes on by a jump: a child of vfork or clone returns through this frame, too.
 */
#include "witness.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifdef __x86_64__

/* The next one in the look-up order: libc's, or that of the library behind the witness. */
__attribute__((visibility("hidden"), used)) long (*witness_next_syscall)(long, ...);

__asm__(".text\n"
	".globl syscall\n"
	".type syscall,@function\n"
	"syscall:\n"
	/* io_setup, io_destroy, io_getevents, io_submit, io_cancel are 206 to 210. */
	"	lea -206(%rdi), %rax\n"
	"	cmp $4, %rax\n"
	"	jbe 1f\n"
	"	cmp $333, %rdi\n" /* io_pgetevents */
	"	je 1f\n"
	"	cmp $231, %rdi\n" /* exit_group */
	"	je 1f\n"
	"	mov witness_next_syscall(%rip), %rax\n"
	"	test %rax, %rax\n"
	"	je 2f\n"
	"	jmp *%rax\n"
	"1:	jmp witness_syscall\n"
	/* Before the constructor: no number of those above, and errors are not told apart. */
	"2:	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"	cmp $-4095, %rax\n"
	"	jb 3f\n"
	"	mov $-1, %rax\n"
	"3:	ret\n"
	".size syscall, . - syscall\n");

__attribute__((constructor)) static void find_next(void)
{
	witness_next_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
}

/* A result as libaio's functions give it. errno stays as the system call left it. */
static long folded(long got)
{
	return got == -1 ? -errno : got;
}

#define NEXT(...) folded(witness_next_syscall(__VA_ARGS__))

static long raw_setup(unsigned nr, io_context_t *ctxp)
{
	return NEXT(SYS_io_setup, nr, ctxp);
}

static long raw_destroy(io_context_t ctx)
{
	return NEXT(SYS_io_destroy, ctx);
}

static long raw_submit(io_context_t ctx, long nr, struct iocb **list)
{
	return NEXT(SYS_io_submit, ctx, nr, list);
}

static long raw_cancel(io_context_t ctx, struct iocb *obj, struct io_event *result)
{
	return NEXT(SYS_io_cancel, ctx, obj, result);
}

static long raw_getevents(const struct reap *reap)
{
	return NEXT(SYS_io_getevents, reap->ctx, reap->min_nr, reap->nr, reap->events, reap->timeout);
}

static long raw_pgetevents(const struct reap *reap)
{
	return NEXT(SYS_io_pgetevents, reap->ctx, reap->min_nr, reap->nr, reap->events,
		    reap->timeout, reap->mask);
}

long witness_syscall(long number, long a, long b, long c, long d, long e, long f);
__attribute__((used)) long witness_syscall(long number, long a, long b, long c, long d, long e,
					   long f)
{
	struct reap reap = { .ctx = (io_context_t)a,
			     .min_nr = b,
			     .nr = c,
			     .events = (struct io_event *)d,
			     .call = number == SYS_io_pgetevents ? raw_pgetevents : raw_getevents,
			     .timeout = (void *)e,
			     .mask = (void *)f };
	long got;

	if (!witness_next_syscall)
		find_next();
	/* libaio itself makes its calls so: they have been seen. */
	if (number != SYS_exit_group && is_library(__builtin_return_address(0)))
		return witness_next_syscall(number, a, b, c, d, e, f);
	switch (number) {
	case SYS_io_setup:
		got = witnessed_setup((io_context_t *)b, raw_setup, (unsigned)a);
		break;
	case SYS_io_destroy:
		got = witnessed_destroy((io_context_t)a, raw_destroy);
		break;
	case SYS_io_submit:
		got = witnessed_submit((io_context_t)a, b, (struct iocb **)c, raw_submit);
		break;
	case SYS_io_cancel:
		got = witnessed_cancel((io_context_t)a, (struct iocb *)b, (struct io_event *)c,
				       raw_cancel);
		break;
	case SYS_exit_group:
		report_end();
		return witness_next_syscall(number, a);
	default:
		got = witnessed_reap(&reap);
	}
	/* errno is that of the call. */
	return got < 0 ? -1 : got;
}

#endif

/* A ring that is moved is the same context at another address. */
EXPORT void *mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	static void *(*next)(void *, size_t, size_t, int, ...);
	__builtin_va_list arguments;
	void *wanted, *got;

	__builtin_va_start(arguments, flags);
	wanted = __builtin_va_arg(arguments, void *);
	__builtin_va_end(arguments);
	if (!next)
		next = (void *(*)(void *, size_t, size_t, int, ...))dlsym(RTLD_NEXT, "mremap");
	got = next(old, old_size, new_size, flags, wanted);
	if (got != MAP_FAILED && old_size && got != old) {
		struct hold held;

		hold(&held);
		context_moved((io_context_t)old, (io_context_t)got);
		release(&held);
	}
	return got;
}
