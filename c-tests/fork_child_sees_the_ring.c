/* Description: a forked child can read the ring of its parent's context, whatever contexts have been at that
 * address before. */
#include "pending.h"

int main(void)
{
	int file = scratch_direct("file", PAGE, 'f'), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *memory = pages(1, PROT_READ | PROT_WRITE);
	io_context_t other = new_context(8);

	for (int round = 0; round < 3; round++) {
		io_context_t ctx = new_context(8);
		struct iocb iocb;
		int status;
		pid_t child = MUST(fork());

		if (child == 0)
			_exit(((volatile unsigned *)ctx)[1] == 0);
		MUST(waitpid(child, &status, 0));
		expect(status, 0, "status of the child");
		/* With an eventfd the ring may be the kernel's. */
		io_prep_pread(&iocb, file, memory, PAGE, 0);
		io_set_eventfd(&iocb, resfd);
		submit_accepted(ctx, &iocb);
		expect(reap_event_of(ctx, &iocb), (long)PAGE, "read");
		end_context(ctx);
	}
	end_context(other);
	return finish();
}
