/* not: uring: reads and writes are other calls there */
/* not: pool: as with io_uring */
/* Description: a thread whose seccomp filter knows little but memory, locks, files and the kernel's AIO
 * makes a context, writes files with O_DIRECT and reads them back. */
#include "filter.h"
#include "pending.h"

#include <sys/prctl.h>

#define DEPTH 8
#define BLOCKS 64

static const int known[] = {
	SYS_read, SYS_write, SYS_openat, SYS_close, SYS_fallocate, SYS_ftruncate, SYS_fstat, SYS_rename,
	SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk,
	SYS_futex, SYS_set_robust_list, SYS_restart_syscall, SYS_clock_gettime, SYS_clock_nanosleep,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_tgkill, SYS_exit, SYS_exit_group,
	SYS_io_setup, SYS_io_submit, SYS_io_getevents, SYS_io_destroy,
};

/* For this thread: others do not exist, as on an older kernel. */
static void know_little(void)
{
	struct sock_filter code[2 * COUNT(known) + 4];
	struct sock_fprog program = { 0, code };
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < COUNT(known); i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned)known[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	program.len = n;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

/* All blocks once, with up to DEPTH in flight; how many went well. */
static int move(io_context_t ctx, int file, char *memory, bool is_write)
{
	struct iocb *iocbs = calloc(DEPTH, sizeof(*iocbs));
	struct io_event *events = calloc(DEPTH, sizeof(*events));
	int submitted = 0, taken = 0, good = 0;

	for (int i = 0; i < DEPTH; i++)
		iocbs[i].aio_fildes = -1;
	while (taken < BLOCKS) {
		int got;

		for (int i = 0; i < DEPTH && submitted < BLOCKS; i++) {
			char *place = memory + submitted * PAGE;

			if (iocbs[i].aio_fildes != -1)
				continue;
			if (is_write)
				io_prep_pwrite(&iocbs[i], file, place, PAGE, submitted * (long)PAGE);
			else
				io_prep_pread(&iocbs[i], file, place, PAGE, submitted * (long)PAGE);
			CHECK(submit(ctx, &iocbs[i]) == 1);
			submitted++;
		}
		got = io_getevents(ctx, 1, DEPTH, events, NULL);
		CHECK(got > 0);
		for (int i = 0; i < got; i++) {
			good += event_res(&events[i]) == (long)PAGE;
			events[i].obj->aio_fildes = -1;
		}
		taken += got > 0 ? got : BLOCKS;
	}
	free(iocbs);
	free(events);
	return good;
}

static void *body(void *argument)
{
	char *memory = pages(2 * BLOCKS, PROT_READ | PROT_WRITE);
	int *files = argument;
	io_context_t ctx;

	for (size_t i = 0; i < BLOCKS * PAGE; i++)
		memory[i] = (char)(i / PAGE + i % 7);
	know_little();
	ctx = new_context(DEPTH);
	for (int i = 0; i < 2; i++) {
		expect(move(ctx, files[i], memory, true), BLOCKS, "file %d: written", i);
		expect(move(ctx, files[i], memory + BLOCKS * PAGE, false), BLOCKS, "file %d: read", i);
		CHECK(!memcmp(memory, memory + BLOCKS * PAGE, BLOCKS * PAGE));
		memset(memory + BLOCKS * PAGE, 0, BLOCKS * PAGE);
	}
	end_context(ctx);
	return NULL;
}

int main(void)
{
	int files[] = { scratch_direct("first", PAGE, 'x'), scratch_direct("second", PAGE, 'x') };

	join(start(body, files));
	return finish();
}
