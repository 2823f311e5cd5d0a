/* Description: a direct overwrite that begins at RLIMIT_FSIZE or behind it, and nothing beside it, is
 * -EFBIG with one SIGXFSZ for the submitter; one that ends there is done without. */
#include "check.h"

#include <sys/resource.h>

#define LIMIT (4 * PAGE)

static volatile sig_atomic_t signals, elsewhere;
static int submitter_tid;

static void on_signal(int signal)
{
	(void)signal;
	signals++;
	elsewhere += submitter_tid != (int)syscall(SYS_gettid);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct rlimit limit = { LIMIT, RLIM_INFINITY };
	static const struct {
		unsigned long offset, length;
		long res;
	} writes[] = {
		{ LIMIT, PAGE, -EFBIG },
		{ LIMIT - PAGE, PAGE, PAGE },
		{ LIMIT + PAGE, PAGE, -EFBIG },
		{ LIMIT - PAGE, 2 * PAGE, PAGE },
		{ LIMIT, 2 * PAGE, -EFBIG },
	};
	int file = scratch_direct("file", 8 * PAGE, 'o'), resfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
	char *memory = pages(2, PROT_READ | PROT_WRITE);
	io_context_t ctx = new_context(4);

	submitter_tid = (int)syscall(SYS_gettid);
	MUST(sigaction(SIGXFSZ, &action, NULL));
	MUST(setrlimit(RLIMIT_FSIZE, &limit));
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(writes); i++) {
			struct iocb iocb;
			struct io_event event;

			signals = 0;
			io_prep_pwrite(&iocb, file, memory, writes[i].length, (long)writes[i].offset);
			if (round)
				io_set_eventfd(&iocb, resfd);
			expect(submit(ctx, &iocb), 1, "write %zu", i);
			expect(signals, writes[i].res < 0, "signals of write %zu", i);
			expect(reap(ctx, 1, 1, &event), 1, "event of write %zu", i);
			expect(event_res(&event), writes[i].res, "result of write %zu", i);
		}
	}
	expect(elsewhere, 0, "signals to another thread");
	end_context(ctx);
	return finish();
}
