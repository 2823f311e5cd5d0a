/* Description: io_destroy that waits is not interrupted: a handler that jumps out of it runs when the
 * context is gone. */
#include "jumping.h"

static io_context_t ctx;
static struct channel channel;
static long begun;

static void *submits(void *argument)
{
	static char byte;
	struct iocb iocb, *list = &iocb;

	io_prep_pread(&iocb, channel.in, &byte, 1, 0);
	__atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
	CHECK(io_submit(ctx, 1, &list) == 1);
	return argument;
}

static void *feeds(void *argument)
{
	sleep_ms(200);
	feed(channel.out);
	return argument;
}

int main(void)
{
	sigset_t alarms, before;

	jump_on(SIGALRM);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	channel = new_pipe();
	for (int round = 0; round < 3; round++) {
		volatile long begin;
		pthread_t submitter, feeder;

		ctx = new_context(4);
		__atomic_store_n(&begun, 0, __ATOMIC_RELAXED);
		MUST(-pthread_sigmask(SIG_BLOCK, &alarms, &before));
		submitter = start(submits, NULL);
		EVENTUALLY(__atomic_load_n(&begun, __ATOMIC_ACQUIRE));
		sleep_ms(30);
		feeder = start(feeds, NULL);
		MUST(-pthread_sigmask(SIG_SETMASK, &before, NULL));
		jumps = 0;
		begin = now_ms();
		JUMP_OUT_OF(alarm_in(50000); io_destroy(ctx));
		CHECK(now_ms() - begin >= 100);
		fact("%ld jump", jumps);
		expect(io_destroy(ctx), -EINVAL, "io_destroy again");
		join(submitter);
		join(feeder);
	}
	return finish();
}
