/* Description: direct overwrites at or beyond RLIMIT_FSIZE are -EFBIG with a SIGXFSZ to the
 * submitter, those across it are cut, those below it are done: in one batch, and in any thread. */
#include "check.h"

#include <sys/resource.h>

#define MANY 16
#define LIMIT (8 * PAGE)
#define ROUNDS 50

static io_context_t ctx;
static int file, resfd;
static char *memory;
static volatile sig_atomic_t signals, elsewhere;
static volatile int submitter_tid;

static void on_signal(int signal)
{
	(void)signal;
	signals++;
	elsewhere += submitter_tid != (int)syscall(SYS_gettid);
}

/* Blocks 0 to 15 of a file that has them all; two blocks from the seventh on cross the limit. */
static void *submitter(void *argument)
{
	struct iocb iocbs[MANY], *list[MANY];
	struct io_event events[MANY];
	int wrong = 0;

	(void)argument;
	submitter_tid = (int)syscall(SYS_gettid);
	for (int round = 0; round < ROUNDS; round++) {
		signals = 0;
		for (int i = 0; i < MANY; i++) {
			io_prep_pwrite(&iocbs[i], file, memory, i == 7 ? 2 * PAGE : PAGE,
				       i * (long)PAGE);
			if (round % 2)
				io_set_eventfd(&iocbs[i], resfd);
			list[i] = &iocbs[i];
		}
		CHECK(io_submit(ctx, MANY, list) == MANY);
		/* One signal can be pending: the handler has run for each, or for all at once. */
		CHECK(signals >= 1 && signals <= MANY / 2);
		CHECK(reap(ctx, MANY, MANY, events) == MANY);
		for (int i = 0; i < MANY; i++) {
			long block = events[i].obj - iocbs;

			wrong += event_res(&events[i]) != (block < 8 ? (long)PAGE : -EFBIG);
		}
	}
	expect(wrong, 0, "with another result");
	expect(elsewhere, 0, "signals to another thread");
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct rlimit limit = { LIMIT, RLIM_INFINITY };
	char block[PAGE];
	int changed = 0;

	file = scratch_direct("file", MANY * PAGE, 'o');
	resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	memory = pages(2, PROT_READ | PROT_WRITE);
	memset(memory, 'n', 2 * PAGE);
	ctx = new_context(MANY);
	MUST(sigaction(SIGXFSZ, &action, NULL));
	MUST(setrlimit(RLIMIT_FSIZE, &limit));
	submitter(NULL);
	join(start(submitter, NULL));
	close(file);
	file = scratch("file", 0);
	for (int i = 0; i < MANY; i++) {
		MUST(pread(file, block, PAGE, i * (long)PAGE));
		changed += filled_with(block, 'n', PAGE);
	}
	expect(changed, 8, "blocks written");
	end_context(ctx);
	return finish();
}
