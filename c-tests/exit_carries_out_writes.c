/* Description: what was submitted before exit() is written. */
#include "check.h"

#include <sys/wait.h>

#define MANY 64
#define SIZE (16 * PAGE)

int main(void)
{
	int file = scratch_direct("file", MANY * SIZE, 'o');
	char *buffer = pages(MANY * SIZE / PAGE, PROT_READ | PROT_WRITE);

	for (int round = 0; round < 5; round++) {
		int status, old = 0;
		pid_t child;

		memset(buffer, 'a' + round, MANY * SIZE);
		child = MUST(fork());
		if (child == 0) {
			struct iocb iocbs[MANY], *list[MANY];
			io_context_t ctx = new_context(MANY);

			for (int i = 0; i < MANY; i++) {
				io_prep_pwrite(&iocbs[i], file, buffer + i * SIZE, SIZE, (long long)(i * SIZE));
				list[i] = &iocbs[i];
			}
			exit(io_submit(ctx, MANY, list) == MANY ? 0 : 1);
		}
		MUST(waitpid(child, &status, 0));
		fact("submitted and left: %s", status == 0 ? "yes" : "no");
		memset(buffer, 0, MANY * SIZE);
		for (int i = 0; i < MANY; i++)
			CHECK((size_t)MUST(pread(file, buffer + i * SIZE, SIZE, i * SIZE)) == SIZE);
		for (int i = 0; i < MANY; i++)
			old += buffer[i * SIZE] != 'a' + round || buffer[(i + 1) * SIZE - 1] != 'a' + round;
		expect(old, 0, "not written");
	}
	return finish();
}
