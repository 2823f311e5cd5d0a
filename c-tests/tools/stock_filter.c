/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A preload library that puts its process under a seccomp filter as somebody may have written it who
 * knows libaio: system calls that neither the stock libaio nor a plain C program makes end the process.
 * Only those of the library with io_submit are looked at, by the place of the instruction, so that
 * the program itself can do what it likes; what it calls through the library's syscall() counts as the
 * library's.
 *
 * `beyond` has those that our library makes all the same. STOCK_FILTER=strict forbids them, too.
 *
 * A call that is forbidden is named on stderr, and the exit status is 99.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
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
#else
#error "stock_filter.c: name this machine's AUDIT_ARCH"
#endif

#ifndef SYS_io_pgetevents
#define SYS_io_pgetevents 333
#endif

enum { FORBIDDEN = 99, REFUSED = 77, MAX_CALLS = 120 };

/* libaio's own; memory, threads, files, signals, futexes and clocks as the C library uses them. */
static const int stock[] = {
	SYS_io_setup, SYS_io_submit, SYS_io_getevents, SYS_io_pgetevents, SYS_io_cancel,
	SYS_io_destroy,
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk,
	SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_set_tid_address, SYS_exit, SYS_exit_group,
	SYS_futex, SYS_sched_yield, SYS_prlimit64, SYS_rseq, SYS_gettid, SYS_getpid, SYS_tgkill,
	SYS_openat, SYS_close, SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_readv,
	SYS_writev, SYS_preadv, SYS_pwritev, SYS_lseek, SYS_fcntl, SYS_fstat, SYS_newfstatat,
	SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_dup, SYS_dup3, SYS_pipe2, SYS_ppoll,
	SYS_eventfd2, SYS_ioctl, SYS_readlinkat,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_sigaltstack,
	SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_wait4, SYS_kill,
};

/* Each of them is one more thing that such a filter does not know. The list only gets shorter. */
static const int beyond[] = {
	/* To look at memory of the program, and files. */
	SYS_process_vm_readv, SYS_sendfile, SYS_memfd_create, SYS_statx, SYS_fstatfs, SYS_getsockopt,
	/* What may not block, and signals. */
	SYS_preadv2, SYS_pwritev2, SYS_sendto, SYS_prctl,
	/* Polls, and requests with an eventfd. */
	SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_timerfd_create, SYS_timerfd_gettime,
	SYS_timerfd_settime,
	/* Workers, with the rights of the submitter. */
	SYS_capget, SYS_setfsuid, SYS_setfsgid,
};

static uintptr_t from, to;

/* The segment with io_submit. */
static int find_library(struct dl_phdr_info *info, size_t size, void *inside)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X) ||
		    (uintptr_t)inside < begin ||
		    (uintptr_t)inside - begin >= info->dlpi_phdr[i].p_memsz)
			continue;
		from = begin;
		to = begin + info->dlpi_phdr[i].p_memsz - 1;
		return 1;
	}
	return 0;
}

static void name_it(int number, siginfo_t *info, void *context)
{
	char text[80];
	int length = snprintf(text, sizeof(text), "stock_filter: forbidden: system call %d\n",
			      info->si_syscall);

	(void)number;
	(void)context;
	if (write(2, text, (size_t)length) != length)
		_exit(1);
	_exit(FORBIDDEN);
}

static unsigned short allow(struct sock_filter *code, unsigned short n, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned)calls[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	return n;
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = name_it, .sa_flags = SA_SIGINFO };
	struct sock_filter code[2 * MAX_CALLS + 20];
	struct sock_fprog program = { 0, code };
	const char *mode = getenv("STOCK_FILTER");
	unsigned short n = 0;
	void *inside = dlsym(RTLD_DEFAULT, "io_submit");

	(void)argc;
	if (!inside || !dl_iterate_phdr(find_library, inside))
		return;
	/* The filter cannot tell code that crosses 4 GB: begin again elsewhere. */
	if (from >> 32 != to >> 32)
		execv("/proc/self/exe", argv);
#define ADD(...) (code[n++] = (struct sock_filter)__VA_ARGS__)
#define LOAD(offset) ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset))
#define SKIP(comparison, value, if_true, if_false)                                                 \
	ADD(BPF_JUMP(BPF_JMP | (comparison) | BPF_K, (unsigned)(value), if_true, if_false))
	LOAD(offsetof(struct seccomp_data, arch));
	SKIP(BPF_JEQ, ARCH, 1, 0);
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	/* Little endian, as both machines are. */
	LOAD(offsetof(struct seccomp_data, instruction_pointer) + 4);
	SKIP(BPF_JEQ, from >> 32, 1, 0);
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	LOAD(offsetof(struct seccomp_data, instruction_pointer));
	SKIP(BPF_JGE, from, 1, 0);
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	SKIP(BPF_JGT, to, 0, 1);
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	LOAD(offsetof(struct seccomp_data, nr));
	n = allow(code, n, stock, sizeof(stock) / sizeof(stock[0]));
	if (!mode || strcmp(mode, "strict"))
		n = allow(code, n, beyond, sizeof(beyond) / sizeof(beyond[0]));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
	program.len = n;
	if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("stock_filter");
		_exit(REFUSED);
	}
}
