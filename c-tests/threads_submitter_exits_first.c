/* Description: requests outlive the thread that submitted them. */
#include "pending.h"

#define MANY 16

static io_context_t ctx;
static struct iocb iocbs[MANY + 2];
static struct channel channel;
static int file;
static char *buffer;

static void *submitter(void *argument)
{
	(void)argument;
	for (int i = 0; i < MANY; i++) {
		io_prep_pread(&iocbs[i], file, buffer + i * PAGE, PAGE, i * PAGE);
		submit_accepted(ctx, &iocbs[i]);
	}
	io_prep_fsync(&iocbs[MANY], file);
	submit_accepted(ctx, &iocbs[MANY]);
	submit_poll(ctx, &iocbs[MANY + 1], channel.in, POLLIN);
	return NULL;
}

int main(void)
{
	struct io_event events[MANY + 1];

	file = scratch_direct("file", MANY * PAGE, 'f');
	channel = new_pipe();
	buffer = pages(MANY, PROT_READ | PROT_WRITE);
	ctx = new_context(32);
	for (int round = 0; round < 20; round++) {
		memset(buffer, 0, MANY * PAGE);
		join(start(submitter, NULL));
		CHECK(reap(ctx, MANY + 1, MANY + 1, events) == MANY + 1);
		for (int i = 0; i < MANY + 1; i++) {
			const struct iocb *iocb = events[i].obj;

			CHECK(event_is_for(&events[i], iocb));
			CHECK(event_res(&events[i]) == (iocb == &iocbs[MANY] ? 0 : (long)PAGE));
		}
		CHECK(filled_with(buffer, 'f', MANY * PAGE));
		CHECK(events_there(ctx) == 0);
		feed(channel.out);
		CHECK(reap_event_of(ctx, &iocbs[MANY + 1]) & POLLIN);
		empty_out(channel.in);
	}
	fact("all events came");
	end_context(ctx);
	return finish();
}
