/* Description: io_destroy does not wait for an io_getevents that a signal handler has interrupted, but for
 * a blocking io_submit beside it, also when that io_getevents has returned meanwhile. */
#include "pending.h"

static io_context_t ctx;
static struct channel channel;
static int waiter_tid, submitter_tid;
static long in_handler, may_return, is_destroyed;
static char byte;

static void destroy(void)
{
	CHECK(io_destroy(ctx) == 0);
	/* The other thread may not have got further than the end of its call. */
	CHECK(__atomic_load_n(&byte, __ATOMIC_ACQUIRE) == 'x');
	__atomic_store_n(&is_destroyed, 1, __ATOMIC_RELEASE);
}

static void stays(int signal)
{
	(void)signal;
	__atomic_store_n(&in_handler, 1, __ATOMIC_RELEASE);
	EVENTUALLY(__atomic_load_n(&may_return, __ATOMIC_ACQUIRE));
}

static void destroys(int signal)
{
	(void)signal;
	destroy();
}

static void *waiter(void *argument)
{
	struct io_event event;

	(void)argument;
	__atomic_store_n(&waiter_tid, own_tid(), __ATOMIC_RELEASE);
	return (void *)(long)io_getevents(ctx, 1, 1, &event, NULL);
}

static void *submitter(void *argument)
{
	struct iocb iocb;

	(void)argument;
	io_prep_pread(&iocb, channel.in, &byte, 1, 0);
	__atomic_store_n(&submitter_tid, own_tid(), __ATOMIC_RELEASE);
	return (void *)(long)submit(ctx, &iocb);
}

static void *destroyer(void *argument)
{
	(void)argument;
	destroy();
	return NULL;
}

static pthread_t start_asleep(void *(*body)(void *), int *tid)
{
	pthread_t thread;
	int started;

	__atomic_store_n(tid, 0, __ATOMIC_RELAXED);
	thread = start(body, NULL);
	EVENTUALLY((started = __atomic_load_n(tid, __ATOMIC_ACQUIRE)) && is_asleep(started));
	return thread;
}

static void run(const char *who, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };
	pthread_t threads[2], other;
	void *got;

	MUST(sigaction(SIGUSR1, &action, NULL));
	byte = 0;
	is_destroyed = 0;
	ctx = new_context(4);
	threads[0] = start_asleep(waiter, &waiter_tid);
	threads[1] = start_asleep(submitter, &submitter_tid);
	MUST(-pthread_kill(threads[0], SIGUSR1));
	if (handler == stays) {
		EVENTUALLY(__atomic_load_n(&in_handler, __ATOMIC_ACQUIRE));
		other = start(destroyer, NULL);
	}
	EVENTUALLY(io_submit(ctx, 0, NULL) == -EINVAL);
	sleep_ms(100);
	if (handler == stays) {
		__atomic_store_n(&may_return, 1, __ATOMIC_RELEASE);
		pthread_join(threads[0], &got);
		expect((long)got, -EINTR, "io_getevents");
	}
	sleep_ms(500);
	fact("%s: %s", who, __atomic_load_n(&is_destroyed, __ATOMIC_ACQUIRE) ? "too early" : "waits");
	feed(channel.out);
	pthread_join(threads[1], &got);
	expect((long)got, 1, "io_submit");
	if (handler == stays) {
		join(other);
	} else {
		pthread_join(threads[0], &got);
		expect((long)got, -EINTR, "io_getevents");
	}
	CHECK(is_destroyed);
}

int main(void)
{
	channel = new_pipe();
	run("io_destroy in another thread", stays);
	run("io_destroy in the handler", destroys);
	return finish();
}
