/* only: kernel: other engines have their own room */
/* Description: the kernel's slots are counted for each CPU, and those of another one are not to be had.
 * Direct reads that do not fit for that reason alone stay with the kernel's AIO: no io_uring is made. */
#include "pending.h"

#include <dirent.h>
#include <sched.h>

#define READS 108
#define ROUNDS 40

/* Instances of io_uring among the descriptors. */
static int rings(void)
{
	DIR *directory = opendir("/proc/self/fd");
	char target[64];
	int count = 0;

	if (!directory)
		die("/proc/self/fd");
	for (struct dirent *entry; (entry = readdir(directory));) {
		ssize_t length = readlinkat(dirfd(directory), entry->d_name, target,
					    sizeof(target) - 1);

		target[length < 0 ? 0 : length] = 0;
		count += strcmp(target, "anon_inode:[io_uring]") == 0;
	}
	closedir(directory);
	return count;
}

int main(void)
{
	static struct iocb iocbs[READS], *list[READS];
	static struct io_event events[READS];
	int file = scratch_direct("file", PAGE, 'f'), cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	char *buffer = pages(READS, PROT_READ | PROT_WRITE);
	io_context_t ctx = new_context(READS);

	if (cpus < 2)
		skip("there is one CPU");
	for (int round = 0; round < ROUNDS; round++) {
		cpu_set_t set;
		/* A few leave slots with their CPU; many need those of all. */
		int count = round % 2 ? READS : 20;

		CPU_ZERO(&set);
		CPU_SET((unsigned)(round / 2 + round % 2) % (unsigned)cpus, &set);
		MUST(sched_setaffinity(0, sizeof(set), &set));
		for (int i = 0; i < count; i++) {
			list[i] = &iocbs[i];
			io_prep_pread(&iocbs[i], file, buffer + i * PAGE, PAGE, 0);
		}
		CHECK(io_submit(ctx, count, list) == count);
		CHECK(reap(ctx, count, count, events) == count);
	}
	expect(rings(), 0, "instances of io_uring");
	end_context(ctx);
	return finish();
}
