/*
 * Description: of an iocb, io_cancel reads the four bytes of the key and io_submit writes them:
 * what the next page allows does not matter.
 */
#include "check.h"

int main(void)
{
	static const size_t offsets[] = { 4, 5, 7, 8, 11, 12, 16, 1, 2, 3 };
	const size_t key = offsetof(struct iocb, key);
	char *memory = pages(2, PROT_READ | PROT_WRITE), *next = memory + PAGE;
	io_context_t ctx = new_context(8);
	int file = scratch_filled("file", 0, 4096, 'x');
	struct iocb iocb;
	char byte;

	/* The key begins that many bytes before the end of the page. */
	for (size_t i = 0; i < COUNT(offsets); i++) {
		char *at = next - offsets[i] - key;
		int inside = offsets[i] >= 4, result;

		MUST(mprotect(next, PAGE, PROT_READ | PROT_WRITE));
		memset(memory, 0, 2 * PAGE);
		MUST(mprotect(next, PAGE, PROT_NONE));
		expect(io_cancel(ctx, (struct iocb *)at, NULL), inside ? -EINVAL : -EFAULT,
		       "key %zu bytes before unreadable memory: cancel", offsets[i]);

		MUST(mprotect(next, PAGE, PROT_READ));
		expect(io_cancel(ctx, (struct iocb *)at, NULL), -EINVAL,
		       "key %zu bytes before read-only memory: cancel", offsets[i]);

		io_prep_pread(&iocb, file, &byte, 1, 0);
		iocb.key = 0x01010101;
		MUST(mprotect(next, PAGE, PROT_READ | PROT_WRITE));
		memcpy(at, &iocb, sizeof(iocb));
		MUST(mprotect(next, PAGE, PROT_READ));
		result = submit(ctx, (struct iocb *)at);
		expect(result, inside ? 1 : -EFAULT, "submit");
		expect(drain(ctx), inside, "events");
		memcpy(&iocb, at, sizeof(iocb));
		if (inside)
			expect(iocb.key, 0, "key");
	}

	/* The other side: the iocb begins in memory that is read-only, the key does not. */
	for (size_t offset = 1; offset <= key + 4; offset++) {
		char *at = next - offset;
		int writable = offset <= key;

		io_prep_pread(&iocb, file, &byte, 1, 0);
		MUST(mprotect(memory, PAGE, PROT_READ | PROT_WRITE));
		MUST(mprotect(next, PAGE, PROT_READ | PROT_WRITE));
		memcpy(at, &iocb, sizeof(iocb));
		MUST(mprotect(memory, PAGE, PROT_READ));
		expect(submit(ctx, (struct iocb *)at), writable ? 1 : -EFAULT,
		       "%zu bytes in read-only memory: submit", offset);
		expect(drain(ctx), writable, "events");
		expect(io_cancel(ctx, (struct iocb *)at, NULL), -EINVAL, "cancel");
	}
	end_context(ctx);
	return finish();
}
