/* Description: a context is a page-aligned ring whose header programs rely on. */
#include "check.h"

int main(void)
{
	static const int sizes[] = { 1,	  2,   4,   8,	 16,  62,  63,	 64,   126,
				     127, 128, 256, 512, 639, 640, 1024, 2000, 4096 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		io_context_t ctx = new_context(sizes[i]);
		struct ring *ring = ring_of(ctx);

		/* How many slots: that depends on the processors, but not on the library. */
		fact("io_setup(%d): nr %u head %u tail %u compat %u incompat %u header %u", sizes[i],
		     ring->nr, ring->head, ring->tail, ring->compat_features,
		     ring->incompat_features, ring->header_length);
		CHECK((uintptr_t)ctx % PAGE == 0);
		CHECK(ring->nr > (unsigned)sizes[i]);
		CHECK((ring->nr + 1) * 32 % PAGE == 0);
		CHECK(ring->head == 0 && ring->tail == 0);
		CHECK(ring->compat_features == 1 && ring->incompat_features == 0);
		CHECK(ring->header_length == 32 && offsetof(struct ring, events) == 32);

		/* All of it is there. */
		struct io_event *last = &ring->events[ring->nr - 1];
		CHECK(last->obj == NULL && last->res == 0);
		last->res = 1;
		end_context(ctx);
	}
	return finish();
}
