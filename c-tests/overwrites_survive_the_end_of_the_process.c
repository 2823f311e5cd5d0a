/* not: pool: workers end with the process, and with them what they have not begun */
/* Description: direct overwrites that io_submit has accepted are carried out though the process
 * calls _exit or exec, or is killed, right after. */
#include "pending.h"

#define MANY 64
#define SIZE (4 * PAGE)
#define ROUNDS 5

static int file;
static char *memory;

enum end { END_EXIT, END_EXEC, END_KILL, ENDS };

static const char *const ends[] = { "_exit", "exec", "SIGKILL" };

static void child(enum end end, int fill)
{
	struct iocb iocbs[MANY], *list[MANY];
	io_context_t ctx = new_context(MANY);

	memset(memory, fill, MANY * SIZE);
	for (int i = 0; i < MANY; i++) {
		io_prep_pwrite(&iocbs[i], file, memory + (unsigned long)i * SIZE, SIZE,
			       (long long)((unsigned long)i * SIZE));
		list[i] = &iocbs[i];
	}
	if (io_submit(ctx, MANY, list) != MANY)
		_exit(1);
	if (end == END_KILL)
		kill(getpid(), SIGKILL);
	if (end == END_EXEC)
		execl("/bin/true", "true", (char *)NULL);
	_exit(0);
}

static int count_written(int fill)
{
	int written = 0;

	CHECK((size_t)MUST(pread(file, memory, MANY * SIZE, 0)) == MANY * SIZE);
	for (int i = 0; i < MANY; i++)
		written += filled_with(memory + (unsigned long)i * SIZE, fill, SIZE);
	return written;
}

int main(void)
{
	int status;

	file = scratch_direct("file", MANY * SIZE, 'o');
	memory = pages(MANY * SIZE / PAGE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < ROUNDS * ENDS; i++) {
		int fill = 'a' + i;
		long end = now_ms() + 2000;
		pid_t pid = MUST(fork());
		int written;

		if (pid == 0)
			child(i % ENDS, fill);
		MUST(waitpid(pid, &status, 0));
		CHECK(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
		/* The device may still be at work. */
		while ((written = count_written(fill)) < MANY && now_ms() < end)
			sleep_ms(10);
		expect(written, MANY, "%s: written", ends[i % ENDS]);
	}
	return finish();
}
