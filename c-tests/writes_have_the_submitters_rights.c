/* Description: a write is done with the rights that its submitter has at that moment, whoever was
 * here before: one without CAP_FSETID takes the setuid bit off the file, one of root's leaves
 * it. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/fsuid.h>

#define NOBODY 65534

static int file;
static char *buffer;

/* Overwrites a block of a file with the setuid bit, and says what is left of the bit. */
static const char *write_block(io_context_t ctx)
{
	struct io_event event;
	struct iocb iocb;
	struct stat status;

	io_prep_pwrite(&iocb, file, buffer, PAGE, 0);
	expect(submit(ctx, &iocb), 1, "submitted");
	expect(reap(ctx, 1, 1, &event), 1, "reaped");
	expect(event_res(&event), PAGE, "written");
	MUST(fstat(file, &status));
	return status.st_mode & S_ISUID ? "kept" : "cleared";
}

static void set_bit(void)
{
	MUST(fchmod(file, 04755));
}

static void expect_bit(const char *bit, const char *wanted, const char *who)
{
	fact("%s: %s", who, bit);
	CHECK(strcmp(bit, wanted) == 0);
}

static void as_root(io_context_t ctx, const char *who)
{
	set_bit();
	expect_bit(write_block(ctx), "kept", who);
}

static void as_nobody(io_context_t ctx, const char *who)
{
	set_bit();
	setfsuid(NOBODY);
	const char *bit = write_block(ctx);
	setfsuid(0);
	expect_bit(bit, "cleared", who);
}

/* The system call changes this thread alone; glibc would change all of them. */
static void as_other_thread(io_context_t ctx, const char *who)
{
	set_bit();
	MUST(syscall(SYS_setresuid, NOBODY, NOBODY, 0));
	const char *bit = write_block(ctx);
	MUST(syscall(SYS_setresuid, 0, 0, 0));
	expect_bit(bit, "cleared", who);
}

/* glibc changes all threads, those of the library too. */
static void as_process(io_context_t ctx, const char *who)
{
	set_bit();
	MUST(seteuid(NOBODY));
	const char *bit = write_block(ctx);
	MUST(seteuid(0));
	expect_bit(bit, "cleared", who);
}

int main(void)
{
	io_context_t ctx;

	if (geteuid() != 0)
		skip("only root can lose the right to keep the bit");
	file = scratch_direct("file", 4 * PAGE, 'o');
	buffer = pages(1, PROT_READ | PROT_WRITE);
	ctx = new_context(4);
	as_root(ctx, "root, first");
	as_nobody(ctx, "setfsuid after root");
	as_root(ctx, "root after setfsuid");
	as_other_thread(ctx, "setresuid of one thread");
	as_process(ctx, "seteuid");
	as_root(ctx, "root after seteuid");
	end_context(ctx);

	/* Whoever comes first must not leave his rights to the next. */
	ctx = new_context(4);
	as_nobody(ctx, "setfsuid, first");
	as_root(ctx, "root after that");
	as_other_thread(ctx, "setresuid after root");
	end_context(ctx);
	return finish();
}
