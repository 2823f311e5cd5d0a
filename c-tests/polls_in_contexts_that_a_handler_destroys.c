/* Description: a signal handler destroys the context to which polls are being submitted, at any moment.
 * Nothing stays: the file is closed, and later contexts are destroyed as ever. */
#include "pending.h"

#include <sys/time.h>

#define ROUNDS 400

static io_context_t ctx;
static volatile sig_atomic_t is_armed;

static void destroy(int signal)
{
	(void)signal;
	/* divergence: a call that interrupts one of the library's may be refused the first time. */
	if (is_armed && io_destroy(ctx) != -EAGAIN)
		is_armed = 0;
}

int main(void)
{
	struct sigaction action = { .sa_handler = destroy, .sa_flags = SA_RESTART };
	io_context_t other = new_context(4);
	int accepted = 0;

	MUST(sigaction(SIGALRM, &action, NULL));
	signal(SIGPIPE, SIG_IGN);
	for (int round = 0; round < ROUNDS; round++) {
		/* Later from round to round: a call takes long with a sanitizer. */
		struct itimerval soon = { { 0, 50 }, { 0, 1 + round % 40 * (1 + round / 40) } };
		struct channel channel = new_pipe();
		struct iocb iocb;

		ctx = new_context(4);
		is_armed = 1;
		MUST(setitimer(ITIMER_REAL, &soon, NULL));
		while (is_armed) {
			io_prep_poll(&iocb, channel.in, POLLIN);
			accepted += submit(ctx, &iocb) == 1;
		}
		MUST(setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL));
		close(channel.in);
		EVENTUALLY(write(channel.out, "x", 1) == -1 && errno == EPIPE);
		close(channel.out);
	}
	CHECK(accepted > 0);
	end_context(other);
	for (int i = 0; i < 4; i++)
		end_context(new_context(4));
	return finish();
}
