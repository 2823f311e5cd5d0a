/* What a program does beside calls of the library. */
#ifndef RUNTIME_ACTIONS_H
#define RUNTIME_ACTIONS_H

#include "calls.h"

/* Before the data of a polled file goes: ours looks at readiness when events are asked for. */
static void see_polls(long number)
{
	if (is_polled(file_at(number)->inode) || is_signalled(file_at(number)->inode))
		for (long c = 0; c < CONTEXTS; c++)
			collect_from(c, LIBRARY);
}

/* file(F, KIND, IS_NONBLOCKING) */
static void file(const long *a)
{
	see_polls(a[0] % FILES);
	open_file(a);
}

/* feed(F, COUNT): from the other end. */
static void feed(const long *a)
{
	long number = a[0] % FILES, count = a[1] % 5000 + 1;
	struct file *file = file_at(number);
	struct itimerspec at_once = { .it_value = { 0, 1 } };
	static char block[8192];
	uint64_t value = (uint64_t)count;
	long moved;

	see_polls(number);
	switch (file->kind) {
	case EVENTFD:
	case SEMAPHORE:
		fcntl(fd_of(number), F_SETFL, fcntl(fd_of(number), F_GETFL) | O_NONBLOCK);
		moved = write(fd_of(number), &value, 8);
		break;
	case TIMERFD:
		moved = timerfd_settime(fd_of(number), 0, &at_once, NULL);
		break;
	case PIPE_OUT:
		moved = read(end_of(number), block, sizeof(block));
		break;
	default:
		memset(block, 'a' + (int)(count % 26), sizeof(block));
		moved = is_stream(file->kind) ? write(end_of(number), block, (size_t)count) : 0;
		break;
	}
	tell("feed %ld: %ld\n", number, moved);
}

/* drain(F): reads what is there, without waiting. */
static void drain(const long *a)
{
	long number = a[0] % FILES, total = 0, moved;
	int fd = fd_of(number), flags = fcntl(fd, F_GETFL);
	static char block[8192];

	if (!is_stream(file_at(number)->kind) || flags == -1)
		return;
	see_polls(number);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (total < 1 << 20 && (moved = read(fd, block, sizeof(block))) > 0)
		total += moved;
	fcntl(fd, F_SETFL, flags);
	tell("drain %ld: %ld\n", number, total);
}

/* fill(F): writes until there is no room. */
static void fill(const long *a)
{
	long number = a[0] % FILES, total = 0, moved;
	int fd = fd_of(number), flags = fcntl(fd, F_GETFL);
	static char block[4096];

	if (!is_stream(file_at(number)->kind) || flags == -1 || file_at(number)->kind >= TIMERFD)
		return;
	see_polls(number);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (total < 1 << 20 && (moved = write(fd, block, sizeof(block))) > 0)
		total += moved;
	fcntl(fd, F_SETFL, flags);
	tell("fill %ld: %ld\n", number, total);
	tell_signals();
}

/* hang_up(F): the other end is closed. */
static void hang_up(const long *a)
{
	see_polls(a[0] % FILES);
	tell("hang_up %ld: %d\n", a[0] % FILES, close(end_of(a[0] % FILES)));
}

/* shut(F): close() of the program's descriptor. */
static void shut(const long *a)
{
	long number = a[0] % FILES;

	tell("shut %ld: %d\n", number, close(fd_of(number)));
	file_at(number)->kind = CLOSED;
}

/* replace(F, G): F means what G means. */
static void replace(const long *a)
{
	long number = a[0] % FILES, by = a[1] % FILES;
	int value = dup2(fd_of(by), fd_of(number));

	tell("replace %ld: %d\n", number, value);
	if (value != -1)
		*file_at(number) = *file_at(by);
}

/* flag(F, WHICH, IS_ON) */
static void flag(const long *a)
{
	static const int flags[] = { O_APPEND, O_NONBLOCK };
	int fd = fd_of(a[0] % FILES), bit = flags[(unsigned long)a[1] % 2], now = fcntl(fd, F_GETFL);

	tell("flag %ld: %d\n", a[0] % FILES, fcntl(fd, F_SETFL, a[2] ? now | bit : now & ~bit));
}

/* cut(F, SIZE) */
static void cut(const long *a)
{
	struct file *file = file_at(a[0]);
	int value;

	if (!is_regular(file->kind))
		return;
	/* The kernel waits for direct I/O on the file; the workers of ours may not have begun. */
	for (long i = 0; i < request_count; i++)
		if (requests[i].is_live && requests[i].is_async && requests[i].inode == file->inode)
			collect_from(requests[i].context, LIBRARY);
	value = ftruncate(fd_of(a[0] % FILES), a[1]);
	tell("cut %ld: %d\n", a[0] % FILES, value);
	if (value == 0)
		size_of_inode[file->inode] = a[1];
}

/* limit(SIZE): of files that are written from now on; 0 lifts it. */
static void limit(const long *a)
{
	struct rlimit limit = { a[0] ? (rlim_t)a[0] : RLIM_INFINITY, RLIM_INFINITY };

	for (long c = 0; c < CONTEXTS; c++)
		if (!is_settled(c))
			collect_from(c, LIBRARY);
	tell("limit: %d\n", setrlimit(RLIMIT_FSIZE, &limit));
}

/* interrupt(): a signal between calls. */
static void interrupt(const long *a)
{
	(void)a;
	raise(SIGUSR1);
	tell("interrupt:");
	tell_signals();
	tell("\n");
}

/* mask(IS_BLOCKED) */
static void mask(const long *a)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(a[0] ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	tell("mask %ld:", a[0]);
	tell_signals();
	tell("\n");
}

/* count(F): takes the count of an eventfd. */
static void count(const long *a)
{
	long number = a[0] % FILES;
	uint64_t value = 0;
	int flags;

	if (file_at(number)->kind != EVENTFD)
		return;
	see_polls(number);
	flags = fcntl(fd_of(number), F_GETFL);
	fcntl(fd_of(number), F_SETFL, flags | O_NONBLOCK);
	/* Signalled after the event can be taken, and what is still in flight is not certain. */
	for (long c = 0; c < CONTEXTS; c++)
		if (!is_settled(c))
			collect_from(c, LIBRARY);
	nap(1500);
	if (read(fd_of(number), &value, 8) != 8)
		value = 0;
	fcntl(fd_of(number), F_SETFL, flags);
	tell("count %ld: %lu\n", number, (unsigned long)value);
}

/* child(C, WHAT): a forked child calls the library. */
static void child(const long *a)
{
	long c = context_number(a[0]);
	struct timespec zero = { 0, 0 };
	struct iocb *list[] = { &memory->iocbs[0] };
	io_context_t own = NULL;
	int values[2] = { 0, 0 }, pair[2];
	pid_t pid;

	if (pipe(pair))
		trouble("pipe");
	pid = fork();
	if (pid == -1)
		trouble("fork");
	if (pid == 0) {
		switch ((unsigned long)a[1] % 6) {
		case 0:
			values[0] = io_submit(contexts[c], 1, list);
			break;
		case 1:
			values[0] = (int)raw(syscall(SYS_io_getevents, contexts[c], 0l, 1l, memory->events,
						     &zero));
			break;
		case 2:
			values[0] = io_cancel(contexts[c], list[0], memory->events);
			break;
		case 3:
			values[0] = io_destroy(contexts[c]);
			break;
		case 4:
			values[0] = (int)raw(syscall(SYS_io_submit, contexts[c], 0l, NULL));
			break;
		default:
			values[0] = io_setup(4, &own);
			io_prep_pread(list[0], fd_of(0), NULL, 0, -1);
			values[1] = io_submit(own, 1, list);
			break;
		}
		if (write(pair[1], values, sizeof(values)) != sizeof(values))
			_exit(1);
		_exit(0);
	}
	if (read(pair[0], values, sizeof(values)) != sizeof(values))
		values[0] = -9999;
	waitpid(pid, NULL, 0);
	close(pair[0]);
	close(pair[1]);
	tell("child %ld: %d %d\n", c, values[0], values[1]);
}

/* ---- Two threads on one context ---- */

struct waiter {
	long context, via, min;
	int value;
	volatile int tid;
	struct io_event events[8];
};

static void *waiter_body(void *argument)
{
	struct waiter *waiter = argument;
	struct timespec patience = { 3, 0 };
	long c = waiter->context;

	waiter->tid = (int)syscall(SYS_gettid);
	waiter->value = take(waiter->via, c, waiter->min, 8, waiter->events, &patience, NULL);
	return NULL;
}

static bool is_asleep(int tid)
{
	char path[64], text[256] = "", *state;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	stat = fopen(path, "r");
	if (!stat)
		return false;
	if (!fgets(text, sizeof(text), stat))
		text[0] = 0;
	fclose(stat);
	state = strrchr(text, ')');
	return state && state[2] == 'S';
}

/* meet(C, VIA, MIN, WHAT, F): another thread waits for events, and something ends that. */
static void meet(const long *a)
{
	struct waiter waiter = { .context = context_number(a[0]), .via = a[1] % OLD, .min = a[2] % 2 + 1 };
	long c = waiter.context, file = a[4] % FILES, what = (unsigned long)a[3] % 4;
	const long request[] = { 15, IO_CMD_PREAD, file, 0, 512, 0, 0, 0, 0, 0 };
	const long batch[] = { 0, c, LIBRARY, -1000, 0, waiter.min, 15, 15 };
	const long end[] = { 0, c, LIBRARY, 0 };
	pthread_t thread;

	if (!is_alive[c] || !is_settled(c) || count_live(c, is_due) || file_at(file)->kind != BUFFERED)
		return;
	if (pthread_create(&thread, NULL, waiter_body, &waiter))
		trouble("pthread_create");
	for (int i = 0; i < 2000 && !(waiter.tid && is_asleep(waiter.tid)); i++)
		nap(500);
	nap(500);
	if (what == 0)
		pthread_kill(thread, SIGUSR1);
	else if (what == 1)
		destroy_here(end);
	else {
		iocb(request);
		submit_here(batch);
	}
	pthread_join(thread, NULL);
	tell("meet %ld: %d", c, waiter.value);
	for (int i = 0; i < waiter.value; i++)
		tell_event(&waiter.events[i]);
	tell_signals();
	tell("\n");
}

#endif
