/* Description: forking with requests in flight loses none of them, whether the child exits at once,
 * lives on, or tries to use the context; threads that wait go on waiting. */
#include "pending.h"

#define MANY 32

/* Every eighth is an fdsync, the others read a page. */
static long want_res(long which)
{
	return which % 8 == 7 ? 0 : (long)PAGE;
}

int main(void)
{
	int file = scratch_direct("file", MANY * PAGE, 'f');
	char *buffer = pages(MANY, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe(), stop = new_pipe();
	io_context_t ctx = new_context(64);
	struct waiter waiter = { .ctx = ctx, .min_nr = 1, .nr = 1 };
	struct io_event events[MANY];
	struct iocb iocbs[MANY], poll, *list[MANY];
	pid_t children[9];
	int status;

	for (int i = 0; i < MANY; i++)
		list[i] = &iocbs[i];
	for (int round = 0; round < 9; round++) {
		for (int i = 0; i < MANY; i++) {
			if (i % 8 == 7)
				io_prep_fdsync(&iocbs[i], file);
			else
				io_prep_pread(&iocbs[i], file, buffer + i * PAGE, PAGE, i * PAGE);
		}
		memset(buffer, 0, MANY * PAGE);
		submit_poll(ctx, &poll, channel.in, POLLIN);
		CHECK(io_submit(ctx, MANY, list) == MANY);
		children[round] = (pid_t)MUST(fork());
		if (children[round] == 0) {
			if (round % 3 == 1) {
				close(stop.out);
				read(stop.in, &(char){ 0 }, 1);
			} else if (round % 3 == 2) {
				io_destroy(ctx);
				io_submit(ctx, MANY, list);
			}
			_exit(0);
		}
		expect(reap(ctx, MANY, MANY, events), MANY, "round %d: events", round);
		for (int i = 0; i < MANY; i++)
			CHECK(event_res(&events[i]) == want_res(events[i].obj - iocbs));
		feed(channel.out);
		CHECK(reap_event_of(ctx, &poll) & POLLIN);
		empty_out(channel.in);
	}

	start_waiter(&waiter);
	submit_poll(ctx, &poll, channel.in, POLLIN);
	if (MUST(fork()) == 0)
		_exit(0);
	MUST(wait(&status));
	sleep_ms(20);
	fact("waiter, after a fork: %s", has_returned(&waiter) ? "woken" : "asleep");
	feed(channel.out);
	expect(end_waiter(&waiter), 1, "waiter: events");

	close(stop.out);
	while (wait(&status) > 0)
		CHECK(status == 0);
	end_context(ctx);
	return finish();
}
