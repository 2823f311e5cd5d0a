/* Description: of two threads that destroy one context, one gets 0 and the other -EINVAL. */
#include "pending.h"

static pthread_barrier_t barrier;

static void *destroyer(void *ctx)
{
	pthread_barrier_wait(&barrier);
	return (void *)(long)io_destroy(ctx);
}

int main(void)
{
	struct channel channel = new_pipe();
	struct iocb iocb;

	MUST(-pthread_barrier_init(&barrier, NULL, 2));
	for (int round = 0; round < 20; round++) {
		io_context_t ctx = new_context(4);
		pthread_t threads[2];
		void *results[2];
		long sum;

		submit_poll(ctx, &iocb, channel.in, POLLIN);
		for (int i = 0; i < 2; i++)
			threads[i] = start(destroyer, ctx);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], &results[i]);
		sum = (long)results[0] + (long)results[1];
		expect(sum, -EINVAL, "0 and");
		CHECK(results[0] == NULL || results[1] == NULL);
	}
	return finish();
}
