/* Description: io_destroy returns while a signal handler runs above a wait that has taken a part of what
 * it waits for: in that handler, and in another thread. */
#include "jumping.h"

#define ROUNDS 10

static io_context_t ctx;
static int file, destroyed;
static char *memory;
static volatile bool is_inside, may_return;

static void destroy(int unused)
{
	(void)unused;
	destroyed = io_destroy(ctx);
}

static void stay(int unused)
{
	(void)unused;
	__atomic_store_n(&is_inside, true, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&may_return, __ATOMIC_SEQ_CST))
		sleep_ms(1);
}

static void handle(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	MUST(sigaction(signal, &action, NULL));
}

/* A direct read, whose event comes in the middle of a wait for two. */
static void submit_read(struct iocb *iocb)
{
	io_prep_pread(iocb, file, memory, PAGE, 0);
	submit_accepted(ctx, iocb);
}

static void in_the_handler(void)
{
	struct io_event events[2];
	struct iocb iocb;
	int got;

	ctx = new_context(8);
	destroyed = 1;
	alarm_in(20000);
	submit_read(&iocb);
	got = io_getevents(ctx, 2, 2, events, NULL);
	/* What it has taken, or it is lost with the context; or the handler was early. */
	CHECK(got == 1 || got == -EINTR || got == -EINVAL);
	expect(destroyed, 0, "in the handler: io_destroy");
	expect(io_destroy(ctx), -EINVAL, "once more");
}

static void in_another_thread(void)
{
	struct waiter waiter = { .min_nr = 2, .nr = 2 };
	struct iocb iocb;

	ctx = new_context(8);
	is_inside = may_return = false;
	waiter.ctx = ctx;
	start_waiter(&waiter);
	submit_read(&iocb);
	sleep_ms(20);
	pthread_kill(waiter.thread, SIGUSR1);
	EVENTUALLY(is_inside);
	expect(io_destroy(ctx), 0, "in another thread: io_destroy");
	may_return = true;
	end_waiter(&waiter);
	CHECK(waiter.got == 1 || waiter.got == -EINTR || waiter.got == -EINVAL);
	expect(io_destroy(ctx), -EINVAL, "once more");
}

int main(void)
{
	file = scratch_direct("file", PAGE, 'f');
	memory = pages(1, PROT_READ | PROT_WRITE);
	handle(SIGALRM, destroy);
	handle(SIGUSR1, stay);
	for (int round = 0; round < ROUNDS; round++) {
		in_the_handler();
		in_another_thread();
	}
	return finish();
}
