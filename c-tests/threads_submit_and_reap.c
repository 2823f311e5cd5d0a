/* Description: one thread submits while another reaps; every event arrives once. */
#include "pending.h"

#define MANY 3000

static io_context_t ctx;
static struct iocb iocbs[MANY];
static int seen[MANY];

static void *reaper(void *argument)
{
	struct io_event events[16];
	int got, total = 0;

	(void)argument;
	while (total < MANY && (got = reap(ctx, 1, 16, events)) > 0) {
		total += got;
		for (int i = 0; i < got; i++) {
			long which = events[i].obj - iocbs;

			CHECK(which >= 0 && which < MANY && !seen[which]++);
			CHECK(event_is_for(&events[i], &iocbs[which]));
		}
	}
	return (void *)(long)total;
}

int main(void)
{
	int file = scratch_filled("file", 0, PAGE, 'f');
	int direct = scratch_direct("direct", PAGE, 'd');
	char *buffer = pages(2, PROT_READ | PROT_WRITE);
	struct channel channel = new_pipe();
	pthread_t thread;
	void *total;
	long end = now_ms() + 20000;

	ctx = new_context(32);
	thread = start(reaper, NULL);
	for (int i = 0; i < MANY; i++) {
		struct iocb *iocb = &iocbs[i];
		int got;

		switch (i % 5) {
		case 0:
			io_prep_pread(iocb, file, buffer, 512, 0);
			break;
		case 1:
			io_prep_pread(iocb, direct, buffer + PAGE, PAGE, 0);
			break;
		case 2:
			io_prep_poll(iocb, channel.out, POLLOUT);
			break;
		case 3:
			io_prep_poll(iocb, channel.in, POLLIN);
			break;
		case 4:
			/* Completes the first poll; the later ones find data. */
			io_prep_pwrite(iocb, channel.out, "x", 1, 0);
			break;
		}
		iocb->data = &seen[i];
		while ((got = submit(ctx, iocb)) == -EAGAIN && now_ms() < end)
			sched_yield();
		CHECK(got == 1);
	}
	pthread_join(thread, &total);
	expect((long)total, MANY, "events");
	for (int i = 0; i < MANY; i++)
		CHECK(seen[i] == 1);
	expect(drain(ctx), 0, "more events");
	end_context(ctx);
	return finish();
}
