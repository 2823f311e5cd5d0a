/* Description: io_destroy may come at any time during calls of other threads: those that come too
 * late get -EINVAL, and nothing crashes. */
#include "pending.h"

static io_context_t ctx;
static struct channel channel;
static int file;

static long raw(long got)
{
	return got == -1 ? -errno : got;
}

/* The system's io_getevents reads the ring, which goes away: the system call itself does not. */
static long take(long min_nr, struct timespec *timeout)
{
	struct io_event events[8];

	return raw(syscall(SYS_io_getevents, ctx, min_nr, 8l, events, timeout));
}

static void *caller(void *kind)
{
	struct timespec short_while = { 0, 100000 };
	char *buffer = pages(1, PROT_READ | PROT_WRITE);
	struct io_event result;
	struct iocb iocb;
	long end = now_ms() + 10000, got = 0;

	while (now_ms() < end) {
		switch ((long)kind) {
		case 0:
			io_prep_poll(&iocb, channel.in, POLLIN);
			got = submit(ctx, &iocb);
			CHECK(got == 1 || got == -EAGAIN || got == -EINVAL);
			if (got == 1)
				got = io_cancel(ctx, &iocb, &result) == -EINVAL ? -EINVAL : 1;
			break;
		case 1:
			io_prep_pread(&iocb, file, buffer, PAGE, 0);
			got = submit(ctx, &iocb);
			CHECK(got == 1 || got == -EAGAIN || got == -EINVAL);
			break;
		case 2:
			got = take(1, &short_while);
			CHECK((got >= 0 && got <= 8) || got == -EINVAL);
			break;
		case 3:
			got = take(8, NULL);
			CHECK((got >= 0 && got <= 8) || got == -EINVAL);
			break;
		}
		if (got == -EINVAL)
			break;
	}
	return (void *)got;
}

int main(void)
{
	channel = new_pipe();
	file = scratch_direct("file", PAGE, 'f');
	for (int round = 0; round < 20; round++) {
		pthread_t threads[4];
		void *got;

		ctx = new_context(32);
		for (long i = 0; i < 4; i++)
			threads[i] = start(caller, (void *)i);
		sleep_ms(round);
		CHECK(io_destroy(ctx) == 0);
		for (int i = 0; i < 4; i++) {
			pthread_join(threads[i], &got);
			CHECK((long)got == -EINVAL);
		}
	}
	fact("all threads were told");
	return finish();
}
