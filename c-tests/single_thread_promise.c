/* only: caller: a setting of this library */
/* Description: with UAIO_URING=single one thread does everything, requests with an eventfd
 * included; another one that comes all the same gets its work done too. */
#include "pending.h"

#define MANY 32
#define ROUNDS 200

static io_context_t ctx;
static int file;
static char *memory;

static void submit_all(struct iocb iocbs[MANY], int resfd)
{
	struct iocb *list[MANY];

	for (int i = 0; i < MANY; i++) {
		char *block = memory + i * (long)PAGE;

		if (i % 8 == 7)
			io_prep_fdsync(&iocbs[i], file);
		else if (i % 8 == 6)
			io_prep_pwrite(&iocbs[i], file, block, PAGE, i * (long)PAGE);
		else
			io_prep_pread(&iocbs[i], file, block, PAGE, i * (long)PAGE);
		if (resfd != -1)
			io_set_eventfd(&iocbs[i], resfd);
		list[i] = &iocbs[i];
	}
	CHECK(io_submit(ctx, MANY, list) == MANY);
}

static void reap_all(void)
{
	struct io_event events[MANY];

	CHECK(reap(ctx, MANY, MANY, events) == MANY);
	for (int i = 0; i < MANY; i++)
		CHECK(event_res(&events[i]) == (events[i].obj->aio_lio_opcode == IO_CMD_FDSYNC ?
							0 : (long)PAGE));
}

static void *other_thread(void *unused)
{
	static struct iocb iocbs[MANY];

	(void)unused;
	submit_all(iocbs, -1);
	reap_all();
	return NULL;
}

int main(int count, char **arguments)
{
	char *again[] = { arguments[0], "again", NULL };
	static struct iocb iocbs[MANY];
	struct channel channel = new_pipe();
	struct iocb poll;
	int resfd;

	if (count == 1) {
		MUST(setenv("UAIO_URING", "single", 1));
		execv("/proc/self/exe", again);
		die("execv");
	}
	file = scratch_direct("file", MANY * PAGE, 'f');
	memory = pages(MANY, PROT_READ | PROT_WRITE);
	memset(memory, 'f', MANY * PAGE);
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	for (int i = 0; i < 3; i++) {
		ctx = new_context(2 * MANY);
		for (int round = 0; round < ROUNDS; round++) {
			submit_all(iocbs, -1);
			reap_all();
		}
		submit_poll(ctx, &poll, channel.in, POLLIN);
		submit_all(iocbs, -1);
		reap_all();
		feed(channel.out);
		expect(reap_event_of(ctx, &poll) & POLLIN, POLLIN, "poll");
		empty_out(channel.in);
		submit_all(iocbs, resfd);
		reap_all();
		expect(take_counts(resfd, MANY), MANY, "count");
		join(start(other_thread, NULL));
		/* Half of them end with requests in flight. */
		if (i % 2)
			submit_all(iocbs, -1);
		end_context(ctx);
	}
	CHECK(filled_with(memory, 'f', MANY * PAGE));
	return finish();
}
