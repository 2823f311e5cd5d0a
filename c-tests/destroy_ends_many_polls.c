/* Description: io_destroy ends polls, as many as there are and whatever has become of their iocbs, beside
 * direct reads: their files are closed, and the peers see that. */
#include "pending.h"

#include <sys/mman.h>

#define READS 4

enum fate { KEPT, OVERWRITTEN, UNMAPPED };

static int file;
static char *memory;

static void run(int count, enum fate fate, bool has_reads)
{
	size_t size = (size_t)count * sizeof(struct iocb);
	struct iocb *iocbs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct channel channel = new_socketpair(SOCK_STREAM);
	io_context_t ctx = new_context(256);
	struct iocb reads[READS];
	struct pollfd peer = { channel.out, POLLIN, 0 };

	if (iocbs == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < count; i++)
		submit_poll(ctx, &iocbs[i], channel.in, POLLIN);
	for (int i = 0; has_reads && i < READS; i++) {
		io_prep_pread(&reads[i], file, memory, PAGE, 0);
		submit_accepted(ctx, &reads[i]);
	}
	/* Only the polls have it now. */
	close(channel.in);
	expect(MUST(poll(&peer, 1, 0)), 0, "%d polls, fate %d: the peer sees the end before", count, fate);
	if (fate == OVERWRITTEN)
		memset(iocbs, 0xff, size);
	if (fate != UNMAPPED)
		expect(io_destroy(ctx), 0, "io_destroy");
	munmap(iocbs, size);
	if (fate == UNMAPPED)
		expect(io_destroy(ctx), 0, "io_destroy");
	expect(MUST(poll(&peer, 1, 10000)), 1, "the peer sees the end after");
	close(channel.out);
}

int main(void)
{
	file = scratch_direct("file", PAGE, 'f');
	memory = pages(1, PROT_READ | PROT_WRITE);
	for (enum fate fate = KEPT; fate <= UNMAPPED; fate++) {
		run(1, fate, false);
		run(30, fate, true);
		run(200, fate, false);
	}
	return finish();
}
