/*
 * Description: a blocking pipe that has data or room is served in io_submit; another thread ends
 * a wait.
 */
#include "check.h"

static int pair[2];

static void *write_later(void *argument)
{
	(void)argument;
	sleep_ms(100);
	MUST(write(pair[1], "later", 5));
	return NULL;
}

int main(void)
{
	io_context_t ctx = new_context(16);
	int file = scratch_filled("file", 0, 100, 'x');
	struct iocb write, read, after, *list[] = { &write, &read, &after };
	struct io_event events[3];
	char buffer[16], byte;

	MUST(pipe2(pair, O_CLOEXEC));
	io_prep_pwrite(&write, pair[1], "hello", 5, 0);
	io_prep_pread(&read, pair[0], buffer, 16, 0);
	io_prep_pread(&after, file, &byte, 1, 0);
	expect(io_submit(ctx, 3, list), 3, "write, read, and a file");
	expect(in_ring(ctx), 3, "events at once");
	expect(reap(ctx, 3, 3, events), 3, "reaped");
	for (int i = 0; i < 3; i++) {
		CHECK(event_is_for(&events[i], list[i]));
		fact("event %d: %s", i, code(event_res(&events[i])));
	}
	CHECK(memcmp(buffer, "hello", 5) == 0);

	pthread_t thread = start(write_later, NULL);
	expect_result(ctx, &read, 5, "read of an empty pipe that is written later");
	CHECK(memcmp(buffer, "later", 5) == 0);
	join(thread);
	end_context(ctx);
	return finish();
}
