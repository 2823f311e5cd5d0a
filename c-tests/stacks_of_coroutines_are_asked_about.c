/* Description: a call on a coroutine's stack gives EFAULT for what lies above that, though a longer stack
 * was there before. */
#include "check.h"

#include <sys/mman.h>
#include <ucontext.h>

#define LONG (256ul << 10)
#define SHORT (192ul << 10)
/* How deep the first call is. */
#define DEEP (160ul << 10)

static io_context_t ctx;
static ucontext_t outside, coroutine;
static struct iocb *iocb;
static char block[512];
static int file, result;

static void submit_deep(void)
{
	volatile char *deep = __builtin_alloca(DEEP);

	deep[0] = 1;
	io_prep_pread(iocb, file, block, sizeof(block), 0);
	result = submit(ctx, iocb);
}

static void submit_there(void)
{
	result = submit(ctx, iocb);
}

static void reap_there(void)
{
	result = reap(ctx, 1, 1, (struct io_event *)(void *)iocb);
}

static int run_on(char *stack, size_t size, void (*function)(void))
{
	MUST(getcontext(&coroutine));
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = size;
	coroutine.uc_link = &outside;
	makecontext(&coroutine, function, 0);
	MUST(swapcontext(&outside, &coroutine));
	return result;
}

int main(void)
{
	char *stack = mmap(NULL, LONG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct io_event event;

	if (stack == MAP_FAILED)
		die("mmap");
	file = (int)MUST(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(write(file, block, sizeof(block)));
	ctx = new_context(8);
	iocb = (struct iocb *)(void *)(stack + LONG - PAGE);
	for (int i = 0; i < 3; i++) {
		expect(run_on(stack, LONG - PAGE, submit_deep), 1, "%d: submit", i);
		expect(reap(ctx, 1, 1, &event), 1, "%d: events", i);
	}
	MUST(submit(ctx, iocb));
	/* A shorter one takes its place. */
	MUST(mprotect(stack + SHORT, LONG - SHORT, PROT_NONE));
	expect(run_on(stack, SHORT, submit_there), -EFAULT, "iocb above the stack");
	expect(run_on(stack, SHORT, reap_there), -EFAULT, "events above the stack");
	MUST(mprotect(stack + SHORT, LONG - SHORT, PROT_READ));
	expect(run_on(stack, SHORT, reap_there), -EFAULT, "events in read-only memory");
	expect(reap(ctx, 1, 1, &event), 1, "the event");
	end_context(ctx);
	return finish();
}
