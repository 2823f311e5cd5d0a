/* Description: a child that is forked in the moment in which requests end has no file open but those of
 * the program. */
#include "pending.h"

#include <stdatomic.h>

#define FORKS 400
/* The library makes a fork wait for 20 ms at most, which a busy machine may need for other things. */
#define PATIENCE_MS 18

static io_context_t ctx;
static int file;
static atomic_bool is_over;
static atomic_long done;

static void *syncs(void *argument)
{
	struct iocb iocbs[4], *list[4];
	struct io_event events[4];

	(void)argument;
	while (!is_over) {
		for (int i = 0; i < 4; i++) {
			io_prep_fdsync(&iocbs[i], file);
			list[i] = &iocbs[i];
		}
		CHECK(io_submit(ctx, 4, list) == 4);
		CHECK(reap(ctx, 4, 4, events) == 4);
		done += 4;
	}
	return NULL;
}

int main(void)
{
	int before, more = 0;
	pthread_t thread;

	file = scratch_filled("file", 0, PAGE, 'x');
	before = entries("/proc/self/fd");
	ctx = new_context(8);
	thread = start(syncs, NULL);
	EVENTUALLY(done > 0);
	for (int i = 0; i < FORKS; i++) {
		long begin = now_ms();
		pid_t child = (pid_t)MUST(fork());
		int status;

		if (child == 0)
			_exit(now_ms() - begin < PATIENCE_MS && entries("/proc/self/fd") != before);
		MUST(waitpid(child, &status, 0));
		more += status != 0;
	}
	is_over = true;
	join(thread);
	expect(more, 0, "children with another number of files");
	end_context(ctx);
	return finish();
}
