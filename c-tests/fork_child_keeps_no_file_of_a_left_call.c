/* Description: a child that is forked when a handler has left a blocking io_submit, or stands above one whose
 * context another thread has destroyed, does not keep open what that call has transferred on. */
#include "jumping.h"

static io_context_t ctx;
static struct channel channel;
static int tid, is_in_handler, may_return;
static char byte;

static pid_t fork_sleeper(void)
{
	pid_t child = (pid_t)MUST(fork());

	if (child == 0) {
		close_channel(channel);
		sleep(25);
		_exit(0);
	}
	return child;
}

/* Closes the program's descriptor: the peer finds the end of the data. */
static void expect_end(pid_t child, const char *what)
{
	struct pollfd state = { channel.out, 0, 0 };

	close(channel.in);
	EVENTUALLY(MUST(poll(&state, 1, 0)) && state.revents & POLLHUP);
	expect(!!(state.revents & POLLHUP), 1, "%s: end of data", what);
	kill(child, SIGKILL);
	MUST(waitpid(child, NULL, 0));
	close(channel.out);
}

static void after_a_jump(void)
{
	struct iocb iocb;
	pid_t child;

	ctx = new_context(4);
	channel = new_socketpair(SOCK_STREAM);
	jump_on(SIGALRM);
	io_prep_pread(&iocb, channel.in, &byte, 1, 0);
	JUMP_OUT_OF(alarm_in(50000); submit(ctx, &iocb));
	child = fork_sleeper();
	expect(reap_event_of(ctx, &iocb), -EINTR, "left");
	expect_end(child, "left");
	end_context(ctx);
}

static void stay(int unused)
{
	(void)unused;
	__atomic_store_n(&is_in_handler, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&may_return, __ATOMIC_ACQUIRE))
		sleep_ms(1);
}

static void *transfer(void *unused)
{
	struct iocb iocb;

	io_prep_pread(&iocb, channel.in, &byte, 1, 0);
	__atomic_store_n(&tid, own_tid(), __ATOMIC_RELEASE);
	return unused ? NULL : (void *)(long)submit(ctx, &iocb);
}

static void below_a_handler(void)
{
	struct sigaction action = { .sa_handler = stay };
	pthread_t thread;
	pid_t child;
	void *submitted;
	int number;

	ctx = new_context(4);
	channel = new_socketpair(SOCK_STREAM);
	MUST(sigaction(SIGUSR1, &action, NULL));
	thread = start(transfer, NULL);
	EVENTUALLY((number = __atomic_load_n(&tid, __ATOMIC_ACQUIRE)) && is_asleep(number));
	MUST(-pthread_kill(thread, SIGUSR1));
	EVENTUALLY(__atomic_load_n(&is_in_handler, __ATOMIC_ACQUIRE));
	end_context(ctx);
	child = fork_sleeper();
	__atomic_store_n(&may_return, 1, __ATOMIC_RELEASE);
	pthread_join(thread, &submitted);
	expect((long)submitted, 1, "below a handler");
	expect_end(child, "below a handler");
}

int main(void)
{
	after_a_jump();
	below_a_handler();
	return finish();
}
