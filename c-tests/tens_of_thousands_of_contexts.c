/* only: uaio: the kernel allows that many only to one program at a time, and needs half an hour */
/* timeout: 120 */
/*
 * Description: 65,000 contexts can exist, each of them works, and destroying them returns
 * everything.
 */
#include "check.h"

int main(void)
{
	static io_context_t ctx[65000];
	int file = scratch_filled("file", 0, 4096, 'x');
	unsigned wrong = 0;
	struct iocb iocb;
	char byte;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(ctx); i++) {
			ctx[i] = 0;
			wrong += io_setup(1, &ctx[i]) != 0;
		}
		expect(wrong, 0, "refused");
		for (size_t i = 0; i < COUNT(ctx); i += 650) {
			io_prep_pread(&iocb, file, &byte, 1, 0);
			wrong += outcome_of(ctx[i], &iocb).res != 1;
		}
		expect(wrong, 0, "do not work");
		for (size_t i = 0; i < COUNT(ctx); i++)
			wrong += io_destroy(ctx[i]) != 0;
		expect(wrong, 0, "not destroyed");
	}
	return finish();
}
