/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * forbid ERROR GROUP[,GROUP] PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM under a seccomp filter that refuses groups of system calls: `aio` (io_setup and its
 * like) and `uring`. ERROR is ENOSYS, EPERM or EACCES: what the calls return; or KILL: they end the
 * process with SIGSYS. Exit status: PROGRAM's; 127 if it is not found; 125 if the filter is
 * refused.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "forbid: name this machine's AUDIT_ARCH"
#endif

enum { REFUSED = 125, NOT_FOUND = 127, MAX_CALLS = 16 };

static const struct group {
	const char *name;
	int calls[MAX_CALLS];
	int count;
} groups[] = {
	{ "aio",
	  { SYS_io_setup, SYS_io_submit, SYS_io_getevents, SYS_io_pgetevents, SYS_io_cancel,
	    SYS_io_destroy },
	  6 },
	{ "uring", { SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register }, 3 },
};

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "forbid: %s: %s\n", what, which);
	exit(REFUSED);
}

static unsigned action_named(const char *name)
{
	if (!strcmp(name, "ENOSYS"))
		return SECCOMP_RET_ERRNO | ENOSYS;
	if (!strcmp(name, "EPERM"))
		return SECCOMP_RET_ERRNO | EPERM;
	if (!strcmp(name, "EACCES"))
		return SECCOMP_RET_ERRNO | EACCES;
	if (!strcmp(name, "KILL"))
		return SECCOMP_RET_KILL_PROCESS;
	fail("unknown error", name);
	return 0;
}

static const struct group *group_named(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(name, groups[i].name))
			return &groups[i];
	fail("unknown group", name);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sock_filter code[2 * 2 * MAX_CALLS + 5];
	struct sock_fprog program = { 0, code };
	unsigned short n = 0;

	if (argc < 4)
		fail("usage", "forbid ERROR GROUP[,GROUP] PROGRAM [ARGUMENT...]");
	unsigned action = action_named(argv[1]);

	/* Numbers mean other calls on another architecture: those processes are left alone. */
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	int seen = 0;
	for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ",")) {
		const struct group *group = group_named(name);

		if (seen++ == 2)
			fail("too many groups", name);
		for (int i = 0; i < group->count; i++) {
			code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								 (unsigned)group->calls[i], 0, 1);
			code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
		}
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		fail("seccomp", strerror(errno));
	execvp(argv[3], argv + 3);
	fprintf(stderr, "forbid: %s: %s\n", argv[3], strerror(errno));
	return NOT_FOUND;
}
