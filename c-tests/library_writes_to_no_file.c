/* Description: with a file size limit of 0, what does not write to a file raises no signal: not even
 * the first write of the process, before which a library may look what the kernel can do. */
#include "pending.h"

#include <signal.h>
#include <sys/resource.h>

static volatile int signals;

static void handler(int signal)
{
	(void)signal;
	signals++;
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler };
	struct rlimit none = { 0, RLIM_INFINITY };
	struct channel channel = new_pipe();
	io_context_t ctx;
	struct iocb iocb;

	MUST(sigaction(SIGXFSZ, &action, NULL));
	MUST(setrlimit(RLIMIT_FSIZE, &none));
	ctx = new_context(4);
	io_prep_pwrite(&iocb, channel.out, "x", 1, 0);
	/* The transcript goes to a file, perhaps. */
	CHECK(io_submit(ctx, 1, (struct iocb *[]){ &iocb }) == 1);
	CHECK(reap_event_of(ctx, &iocb) == 1);
	CHECK(signals == 0);
	end_context(ctx);
	return finish();
}
