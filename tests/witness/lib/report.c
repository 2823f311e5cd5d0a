/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The report, and the end of the process. */
#include "witness.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* One line in one write, so that processes can share the file. */
static void line(const char *text)
{
	char whole[640];
	const char *path = getenv("WITNESS_REPORT");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
	int length = snprintf(whole, sizeof(whole), "witness %d %s: %s\n", (int)w->pid,
			      program_invocation_short_name, text);

	if (length >= (int)sizeof(whole))
		length = sizeof(whole) - 1;
	/* Without descriptors, it is shown where somebody may see it. */
	if (real()->write(fd == -1 ? 2 : fd, whole, (size_t)length) != length)
		abort();
	if (fd != -1)
		real()->close(fd);
}

void report_begin(void)
{
	if (w->has_begun)
		return;
	w->has_begun = true;
	line("began");
}

void violation(unsigned long *kind, const char *format, ...)
{
	char text[500];
	int length = snprintf(text, sizeof(text), "VIOLATION ");
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + length, sizeof(text) - (size_t)length, format, arguments);
	va_end(arguments);
	++*kind;
	/* Where everything is wrong, the first ones tell. */
	if (w->violations++ < 20)
		line(text);
}

/* With the lock held. */
static void verdict(void)
{
	unsigned long in_flight = 0;
	char text[500];

	strict_buffers();
	for (size_t i = 0; i < 4096; i++) {
		for (struct context *context = w->table[i]; context; context = context->next) {
			ring_reconcile(context);
			in_flight += context->pending;
			w->blurred += context->is_blurred;
		}
	}
	counters_at_exit();
	snprintf(text, sizeof(text),
		 "%s contexts=%lu accepted=%lu reaped=%lu taken=%lu dropped=%lu in_flight=%lu "
		 "lost=%lu doubled=%lu foreign=%lu wrong=%lu eventfd=%lu late=%lu leaked=%lu "
		 "blurred=%lu unknown=%lu live=%lu leftover=%lu",
		 w->violations ? "BROKEN" : "ok", w->contexts, w->accepted, w->reaped, w->taken,
		 w->dropped, in_flight, w->lost, w->doubled, w->foreign, w->wrong, w->eventfd, w->late,
		 w->leaked, w->blurred, w->unknown, w->live, w->leftover);
	line(text);
}

void report_end(void)
{
	struct hold held;

	hold(&held);
	/* A child of vfork ends with its parent's memory. */
	if (w->has_begun && getpid() == w->pid) {
		verdict();
		w->has_begun = false;
	}
	release(&held);
}

__attribute__((destructor)) static void at_exit(void)
{
	report_end();
}

EXPORT __attribute__((noreturn)) void _exit(int status)
{
	report_end();
	real()->exit(status);
}

EXPORT __attribute__((noreturn)) void _Exit(int status)
{
	_exit(status);
}
