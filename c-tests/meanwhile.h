/*
 * What another thread does while io_submit sleeps in the first request of a batch: in a read of an
 * empty pipe, of an empty FIFO, or of a file into memory that is not there yet (userfaultfd).
 */
#ifndef MEANWHILE_H
#define MEANWHILE_H

#include "interrupted.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

enum sleep { IN_A_PIPE, IN_A_FIFO, IN_A_FILE, SLEEPS };

static const char *const sleep_names[] = { "pipe", "FIFO", "file" };

static int meanwhile_faults = -1;
static enum sleep meanwhile_sleep;
static int meanwhile_wake;
static char *meanwhile_frozen;
static void (*meanwhile_work)(void);
static pthread_t meanwhile_thread;

static inline void *meanwhile_body(void *argument)
{
	(void)argument;
	if (meanwhile_sleep == IN_A_FILE) {
		struct uffd_msg message;
		struct uffdio_zeropage zero = {
			.range = { (unsigned long)meanwhile_frozen, PAGE },
		};

		MUST(read(meanwhile_faults, &message, sizeof(message)));
		EVENTUALLY(is_asleep());
		meanwhile_work();
		MUST(ioctl(meanwhile_faults, UFFDIO_ZEROPAGE, &zero));
	} else {
		EVENTUALLY(is_asleep());
		meanwhile_work();
		MUST(write(meanwhile_wake, "x", 1));
	}
	return NULL;
}

/* Prepares a read of one byte that sleeps until work() has run in another thread. */
static inline void sleep_in(enum sleep sleep, struct iocb *iocb, void (*work)(void))
{
	static char byte;
	static int fifo = -1, file = -1;
	int pair[2];

	expect_interruption();
	meanwhile_sleep = sleep;
	meanwhile_work = work;
	switch (sleep) {
	case IN_A_PIPE:
		MUST(pipe2(pair, O_CLOEXEC));
		io_prep_pread(iocb, pair[0], &byte, 1, 0);
		meanwhile_wake = pair[1];
		break;
	case IN_A_FIFO:
		if (fifo == -1) {
			MUST(mkfifo("slow", 0600));
			fifo = MUST(open("slow", O_RDWR | O_CLOEXEC));
		}
		io_prep_pread(iocb, fifo, &byte, 1, 0);
		meanwhile_wake = fifo;
		break;
	default:
		if (file == -1)
			file = scratch_filled("slow file", 0, PAGE, 's');
		meanwhile_frozen = pages(1, PROT_READ | PROT_WRITE);
		struct uffdio_register place = {
			.range = { (unsigned long)meanwhile_frozen, PAGE },
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};
		MUST(ioctl(meanwhile_faults, UFFDIO_REGISTER, &place));
		io_prep_pread(iocb, file, meanwhile_frozen, 1, 0);
	}
	meanwhile_thread = start(meanwhile_body, NULL);
}

/* After io_submit. */
static inline void slept(void)
{
	join(meanwhile_thread);
	if (meanwhile_sleep == IN_A_PIPE)
		close(meanwhile_wake);
}

/* Before the first sleep. */
static inline void meanwhile_begin(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	meanwhile_faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (meanwhile_faults == -1 || ioctl(meanwhile_faults, UFFDIO_API, &api) == -1)
		skip("no userfaultfd");
}

#endif
