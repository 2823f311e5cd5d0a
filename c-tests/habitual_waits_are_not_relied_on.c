/* not: kernel: whoever calls takes completions, unless an eventfd says otherwise */
/* not: uring: whoever calls takes completions, unless an eventfd says otherwise */
/*
 * Description: a thread that has waited for each of its requests does not wait for the next one, and its
 * event comes all the same: without any call, to a look without waiting, to a wait with a timeout, and
 * to another thread.
 */
#include "check.h"

#include <pthread.h>

static io_context_t ctx;
static struct iocb iocb;
static char *memory;
static int file;

static void start_read(void)
{
	memset(memory, 0, PAGE);
	io_prep_pread(&iocb, file, memory, PAGE, 0);
	expect(submit(ctx, &iocb), 1, "submitted");
}

static void expect_read(struct io_event *event)
{
	CHECK(event_is_for(event, &iocb));
	expect(event_res(event), PAGE, "res");
	CHECK(filled_with(memory, 'x', PAGE));
}

static void form_a_habit(void)
{
	struct io_event event;

	for (int i = 0; i < 100; i++) {
		start_read();
		expect(io_getevents(ctx, 1, 1, &event, NULL), 1, "waited");
		expect_read(&event);
	}
}

static void *wait_elsewhere(void *event)
{
	expect(io_getevents(ctx, 1, 1, event, NULL), 1, "another thread waited");
	return NULL;
}

int main(void)
{
	struct timespec now = { 0, 0 }, long_while = { 20, 0 };
	struct io_event event;
	pthread_t thread;
	long before;

	file = scratch_direct("file", PAGE, 'x');
	memory = pages(1, PROT_READ | PROT_WRITE);
	ctx = new_context(4);

	form_a_habit();
	start_read();
	before = now_ms();
	EVENTUALLY(in_ring(ctx) == 1);
	/* Not only when a worker that nobody has called leaves. */
	CHECK(now_ms() - before < 800);
	CHECK(take_from_ring(ctx, &event));
	expect_read(&event);

	form_a_habit();
	start_read();
	EVENTUALLY(io_getevents(ctx, 0, 1, &event, &now) == 1);
	expect_read(&event);

	form_a_habit();
	start_read();
	expect(io_getevents(ctx, 1, 1, &event, &long_while), 1, "waited with a timeout");
	expect_read(&event);

	form_a_habit();
	start_read();
	MUST(pthread_create(&thread, NULL, wait_elsewhere, &event));
	pthread_join(thread, NULL);
	expect_read(&event);

	form_a_habit();
	start_read();
	end_context(ctx);
	CHECK(filled_with(memory, 'x', PAGE));
	return finish();
}
