/* Description: all other system calls through syscall() behave as ever: six arguments, errno, calls
 * that end nowhere. */
#include "check.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <sched.h>

static unsigned word;

static long failed(long got)
{
	return got == -1 ? -errno : got;
}

static void *waker(void *argument)
{
	long woken = 0, end = now_ms() + 10000;

	while (woken != 1 && now_ms() < end) {
		woken = syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		sleep_ms(1);
	}
	return argument;
}

static void count(int signal)
{
	signals_seen[signal]++;
	/* In a handler, and with errno of its own. */
	syscall(SYS_close, -1);
}

int main(void)
{
	/* Whatever the compiler makes of a call, this one goes through the address. */
	long (*volatile by_address)(long, ...) = syscall;
	struct timespec short_while = { 0, 20000000 };
	struct sigaction action = { .sa_handler = count };
	int file = scratch_filled("file", 0, 3 * PAGE, 'f');
	struct iovec vector;
	pthread_t thread;
	char *memory, *moved;
	int status;
	long child;

	/* A function of the library, so that the program is linked to it. */
	CHECK(io_destroy(NULL) == -EINVAL);
	CHECK(by_address == dlsym(RTLD_DEFAULT, "syscall"));

	expect(syscall(SYS_getpid) == getpid(), 1, "getpid");
	expect(by_address(SYS_getpid) == getpid(), 1, "getpid by address");
	expect(syscall(SYS_gettid) == gettid(), 1, "gettid");
	errno = 1234;
	syscall(SYS_getppid);
	expect(errno, 1234, "errno after a success");
	expect(failed(syscall(SYS_close, -1)), -EBADF, "close of -1");
	expect(failed(by_address(SYS_close, -1)), -EBADF, "close of -1 by address");
	expect(failed(syscall(-1l)), -ENOSYS, "number -1");
	expect(failed(syscall(100000l)), -ENOSYS, "number 100000");
	expect(failed(syscall(SYS_openat, AT_FDCWD, "no such file", O_RDONLY)), -ENOENT, "openat");

	/* Six arguments, the last one 4096, and a pointer for a result. */
	memory = (char *)syscall(SYS_mmap, NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, file, PAGE);
	expect(memory != MAP_FAILED && filled_with(memory, 'f', 2 * PAGE), 1, "mmap at 4096");
	moved = (char *)syscall(SYS_mremap, memory, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	expect(moved != MAP_FAILED && filled_with(moved, 'f', PAGE), 1, "mremap");
	expect(syscall(SYS_munmap, moved, 4 * PAGE), 0, "munmap");
	vector = (struct iovec){ pages(1, PROT_READ | PROT_WRITE), PAGE };
	expect(syscall(SYS_preadv2, file, &vector, 1l, PAGE, 0l, 0), PAGE, "preadv2");
	expect(failed(syscall(SYS_preadv2, file, &vector, 1l, 0l, 0l, 0x40000000)), -EOPNOTSUPP,
	       "preadv2, unknown flag");

	expect(failed(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0)), -EAGAIN,
	       "futex, other value");
	expect(failed(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &short_while, NULL, 0)),
	       -ETIMEDOUT, "futex, nobody wakes");
	thread = start(waker, NULL);
	expect(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), 0, "futex, woken");
	join(thread);

	MUST(sigaction(SIGUSR1, &action, NULL));
	errno = 1234;
	expect(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1), 0, "tgkill");
	expect(signals_seen[SIGUSR1], 1, "handlers run");

	child = syscall(SYS_clone, SIGCHLD, 0l, 0l, 0l, 0l);
	if (child == 0)
		syscall(SYS_exit_group, 42);
	expect(syscall(SYS_wait4, child, &status, 0, NULL) == child, 1, "clone");
	expect(WEXITSTATUS(status), 42, "exit_group");
	child = MUST(vfork());
	if (child == 0) {
		syscall(SYS_write, file, "vfork", 5l);
		syscall(SYS_exit, 43);
	}
	MUST(waitpid((pid_t)child, &status, 0));
	expect(WEXITSTATUS(status), 43, "in a vfork child");
	return finish();
}
