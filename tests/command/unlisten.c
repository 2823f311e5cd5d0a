/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * unlisten occupied|forbidden PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM where seccomp offers no listener: because there is one already, of which a process
 * can have only one, or because seccomp() itself fails with ENOSYS. Exit status: PROGRAM's; 125 if
 * that cannot be arranged.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sock_filter allow[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter forbid[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program;
	unsigned flags;
	long result;

	if (argc < 3)
		return 125;
	if (!strcmp(argv[1], "occupied")) {
		program = (struct sock_fprog){ sizeof(allow) / sizeof(allow[0]), allow };
		flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	} else {
		program = (struct sock_fprog){ sizeof(forbid) / sizeof(forbid[0]), forbid };
		flags = 0;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    (result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)) < 0) {
		perror("unlisten: seccomp");
		return 125;
	}
	/* A closed listener makes room for another. */
	if (result > 0)
		fcntl((int)result, F_SETFD, 0);
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 125;
}
