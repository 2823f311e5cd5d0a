/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Seccomp filters that answer some system calls, by their numbers, and let all others pass. */
#ifndef FILTER_H
#define FILTER_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define FILTER_ARCH AUDIT_ARCH_RISCV64
#else
#error "filter.h: name this machine's AUDIT_ARCH"
#endif

enum { FILTER_CALLS = 32 };

struct filter {
	struct sock_filter code[2 * FILTER_CALLS + 5];
	unsigned short length;
};

static inline void filter_add(struct filter *filter, struct sock_filter instruction)
{
	filter->code[filter->length++] = instruction;
}

/* Numbers mean other calls on another architecture: those processes are left alone. */
static inline void filter_begin(struct filter *filter)
{
	filter->length = 0;
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							offsetof(struct seccomp_data, arch)));
	filter_add(filter,
		   (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0));
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							offsetof(struct seccomp_data, nr)));
}

/* One of at most FILTER_CALLS calls; `action`: SECCOMP_RET_… */
static inline void filter_answer(struct filter *filter, int call, unsigned action)
{
	filter_add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call,
							0, 1));
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* For prctl or seccomp. It points into the filter. */
static inline struct sock_fprog filter_end(struct filter *filter)
{
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	return (struct sock_fprog){ filter->length, filter->code };
}

#endif
