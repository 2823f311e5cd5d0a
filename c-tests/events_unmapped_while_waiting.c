/* Description: the event buffer is unmapped while io_getevents sleeps: EFAULT, and the event stays. */
#include "interrupted.h"

static char *victim;
static int pair[2];
static bool is_read_only;

static void *body(void *argument)
{
	(void)argument;
	EVENTUALLY(is_asleep());
	if (is_read_only)
		MUST(mprotect(victim, PAGE, PROT_READ));
	else
		MUST(munmap(victim, PAGE));
	MUST(write(pair[1], "x", 1));
	return NULL;
}

static void with(bool has_one)
{
	io_context_t ctx = new_context(16);
	struct iocb first, iocb;
	struct io_event event;

	victim = pages(1, PROT_READ | PROT_WRITE);
	MUST(pipe2(pair, O_CLOEXEC));
	if (has_one) {
		io_prep_poll(&first, pair[1], POLLOUT);
		CHECK(submit(ctx, &first) == 1);
	}
	io_prep_poll(&iocb, pair[0], POLLIN);
	CHECK(submit(ctx, &iocb) == 1);
	pthread_t thread = start(body, NULL);
	expect(reap(ctx, 1 + has_one, 2, (struct io_event *)victim), has_one ? 1 : -EFAULT,
	       "%s, %d at once", is_read_only ? "read-only" : "unmapped", has_one);
	join(thread);
	expect(reap(ctx, 1, 1, &event), 1, "again");
	CHECK(event_is_for(&event, &iocb));
	if (is_read_only)
		munmap(victim, PAGE);
	close(pair[0]);
	close(pair[1]);
	end_context(ctx);
}

int main(void)
{
	expect_interruption();
	for (int i = 0; i < 4; i++) {
		is_read_only = i & 1;
		with(i & 2);
	}
	return finish();
}
