/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A seccomp filter for the calling process, all threads, that refuses system calls of the library
 * and lets the program's own pass: it looks where the instruction stands.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <libaio.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SANDBOX_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SANDBOX_ARCH AUDIT_ARCH_AARCH64
#else
#error "sandbox.h: name this machine's AUDIT_ARCH"
#endif

enum { SANDBOX_CALLS = 8 };

/* Addresses of code. */
struct code_range {
	uintptr_t from;
	uintptr_t to;
};

/* The segment with the program's io_submit. */
static inline int find_library(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct code_range *range = argument;
	uintptr_t inside = (uintptr_t)io_submit;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X) ||
		    inside < from || inside - from >= info->dlpi_phdr[i].p_memsz)
			continue;
		*range = (struct code_range){ from, from + info->dlpi_phdr[i].p_memsz - 1 };
		return 1;
	}
	return 0;
}

/* Begins again elsewhere if the code crosses 4 GB, which the filter cannot tell. */
static inline void stay_within_4_gigabytes(char **argv)
{
	struct code_range range;

	if (dl_iterate_phdr(find_library, &range) && range.from >> 32 != range.to >> 32)
		execv("/proc/self/exe", argv);
}

/*
 * Refuses `count` calls with `error` from now on. `anywhere`: also those that the C library makes.
 * Returns 0, or -1 if there can be no such filter.
 */
static inline int refuse(const int *calls, int count, int error, int anywhere)
{
	struct sock_filter code[SANDBOX_CALLS + 16];
	struct code_range range;
	unsigned short n = 0;

	if (count > SANDBOX_CALLS || !dl_iterate_phdr(find_library, &range) ||
	    range.from >> 32 != range.to >> 32)
		return -1;

#define LOAD(offset) (code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset))
#define RETURN(action) (code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (unsigned)(action)))
#define SKIP(comparison, value, if_true, if_false)                                                 \
	(code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | (comparison) | BPF_K,                  \
						  (unsigned)(value), (unsigned char)(if_true),     \
						  (unsigned char)(if_false)))
	LOAD(offsetof(struct seccomp_data, arch));
	SKIP(BPF_JEQ, SANDBOX_ARCH, 1, 0);
	RETURN(SECCOMP_RET_ALLOW);
	LOAD(offsetof(struct seccomp_data, nr));
	for (int i = 0; i < count; i++)
		SKIP(BPF_JEQ, calls[i], count - i, 0);
	RETURN(SECCOMP_RET_ALLOW);
	if (!anywhere) {
		/* Little endian, as both machines are. */
		LOAD(offsetof(struct seccomp_data, instruction_pointer) + 4);
		SKIP(BPF_JEQ, range.from >> 32, 1, 0);
		RETURN(SECCOMP_RET_ALLOW);
		LOAD(offsetof(struct seccomp_data, instruction_pointer));
		SKIP(BPF_JGE, range.from, 1, 0);
		RETURN(SECCOMP_RET_ALLOW);
		SKIP(BPF_JGT, range.to, 0, 1);
		RETURN(SECCOMP_RET_ALLOW);
	}
	RETURN(SECCOMP_RET_ERRNO | (unsigned)error);
#undef LOAD
#undef RETURN
#undef SKIP

	struct sock_fprog program = { n, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

#endif
