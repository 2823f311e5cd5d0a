/* Description: /proc/self/maps shows the ring with its own size, so that a program that moves it by
 * what it finds there moves nothing else. */
#include "check.h"

#include <sys/mman.h>

/* Bytes from the address to the end of the mapping that it begins; 0: it is not at a beginning. */
static unsigned long mapped_from(void *address)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long begin, end, length = 0;
	char rest[512];

	if (!maps)
		die("/proc/self/maps");
	while (fscanf(maps, "%lx-%lx%511[^\n]\n", &begin, &end, rest) == 3)
		if (begin == (unsigned long)address)
			length = end - begin;
	fclose(maps);
	return length;
}

int main(void)
{
	static const int sizes[] = { 1, 200, 4000 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		io_context_t ctx = new_context(sizes[i]);
		struct ring *ring = ring_of(ctx);
		unsigned long want = (32 + ring->nr * sizeof(struct io_event) + PAGE - 1) / PAGE * PAGE;
		char *place = pages(want / PAGE + 2, PROT_NONE) + PAGE;

		CHECK(mapped_from(ctx) == want);
		MUST(munmap(place, want));
		CHECK(mremap(ctx, want, want, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
		/* The neighbours are still there, and the context is known at its new place. */
		CHECK(mapped_from(place - PAGE) == PAGE && mapped_from(place + want) == PAGE);
		expect(drain((io_context_t)place), 0, "events of a ring for %d", sizes[i]);
		end_context((io_context_t)place);
		CHECK(mapped_from(place - PAGE) == PAGE && mapped_from(place + want) == PAGE);
		CHECK(mapped_from(place) == 0);
	}
	return finish();
}
