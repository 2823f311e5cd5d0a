/* Description: io_destroy waits for a thread that is inside io_submit; other calls get -EINVAL
 * already. */
#include "pending.h"

static io_context_t ctx;
static struct channel channel;
static int submitter_tid;
static bool returned[2];
static char byte;

static void *submitter(void *argument)
{
	struct iocb iocb;
	int got;

	(void)argument;
	io_prep_pread(&iocb, channel.in, &byte, 1, 0);
	__atomic_store_n(&submitter_tid, own_tid(), __ATOMIC_RELEASE);
	got = submit(ctx, &iocb);
	__atomic_store_n(&returned[0], true, __ATOMIC_RELEASE);
	CHECK(byte == 'x');
	return (void *)(long)got;
}

static void *destroyer(void *argument)
{
	int got;

	(void)argument;
	got = io_destroy(ctx);
	/* The other thread may not have got further than the end of its call. */
	CHECK(__atomic_load_n(&byte, __ATOMIC_ACQUIRE) == 'x');
	__atomic_store_n(&returned[1], true, __ATOMIC_RELEASE);
	return (void *)(long)got;
}

int main(void)
{
	pthread_t threads[2];
	struct io_event result, event;
	struct iocb iocb;
	void *got;
	int tid;

	ctx = new_context(4);
	channel = new_pipe();
	threads[0] = start(submitter, NULL);
	EVENTUALLY((tid = __atomic_load_n(&submitter_tid, __ATOMIC_ACQUIRE)) && is_asleep(tid));
	threads[1] = start(destroyer, NULL);
	EVENTUALLY(io_submit(ctx, 0, NULL) == -EINVAL);
	sleep_ms(100);
	for (int i = 0; i < 2; i++) {
		bool is_back = __atomic_load_n(&returned[i], __ATOMIC_ACQUIRE);

		fact("%s: %s", i == 0 ? "io_submit" : "io_destroy", is_back ? "returned" : "inside");
		CHECK(!is_back);
	}

	io_prep_poll(&iocb, channel.out, POLLOUT);
	expect(submit(ctx, &iocb), -EINVAL, "io_submit meanwhile");
	expect(io_cancel(ctx, &iocb, &result), -EINVAL, "io_cancel meanwhile");
	/* The system's io_getevents reads the ring, which is gone. */
	expect(syscall(SYS_io_getevents, ctx, 0l, 1l, &event, NULL) == -1 ? -errno : 0, -EINVAL,
	       "io_getevents meanwhile");
	expect(io_destroy(ctx), -EINVAL, "io_destroy meanwhile");

	feed(channel.out);
	pthread_join(threads[0], &got);
	expect((long)got, 1, "io_submit, when there is data");
	pthread_join(threads[1], &got);
	expect((long)got, 0, "io_destroy then");
	return finish();
}
