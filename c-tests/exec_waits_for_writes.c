/* only: system: exec ends the threads that do the writes, and no library is told of it */
/* Description: direct writes that are in flight at an exec are carried out. */
#include "pending.h"

#define MANY 16

int main(int count, char **arguments)
{
	char *again[] = { arguments[0], "again", NULL };
	char *buffer = pages(MANY, PROT_READ | PROT_WRITE);
	struct iocb iocb;
	io_context_t ctx;
	int file;

	if (count > 1) {
		file = scratch("file", O_DIRECT);
		expect(pread(file, buffer, MANY * PAGE, 0), MANY * PAGE, "read of the file");
		fact("writes in flight: %s",
		     filled_with(buffer, 'n', MANY * PAGE) ? "done" : "lost");
		CHECK(filled_with(buffer, 'n', MANY * PAGE));
		return finish();
	}
	file = scratch_direct("file", MANY * PAGE, 'o');
	memset(buffer, 'n', MANY * PAGE);
	ctx = new_context(MANY);
	for (int i = 0; i < MANY; i++) {
		io_prep_pwrite(&iocb, file, buffer + i * PAGE, PAGE, i * PAGE);
		submit_accepted(ctx, &iocb);
	}
	execv("/proc/self/exe", again);
	die("execv");
}
