/* Description: a handler ends a blocking read or write, whatever the stream and with SA_RESTART too. */
#include "interrupted.h"

#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>

struct stream {
	const char *name;
	int read_end; /* -1: it is only written */
	int write_end; /* -1: it is only read */
};

static struct stream streams[24];
static int count;
static char buffer[1 << 20];

static void add(const char *name, int read_end, int write_end)
{
	streams[count++] = (struct stream){ .name = name, .read_end = read_end, .write_end = write_end };
}

static void open_streams(void)
{
	int pair[2], fd;
	struct termios raw;
	sigset_t set;

	MUST(pipe2(pair, O_CLOEXEC));
	MUST(fcntl(pair[1], F_SETPIPE_SZ, 4096));
	add("pipe", pair[0], pair[1]);
	MUST(mkfifo("both", 0600));
	fd = MUST(open("both", O_RDWR | O_CLOEXEC));
	MUST(fcntl(fd, F_SETPIPE_SZ, 4096));
	add("FIFO open for both", fd, fd);
	MUST(mkfifo("ends", 0600));
	pair[0] = MUST(open("ends", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	pair[1] = MUST(open("ends", O_WRONLY | O_CLOEXEC));
	MUST(fcntl(pair[0], F_SETFL, 0));
	MUST(fcntl(pair[1], F_SETPIPE_SZ, 4096));
	add("FIFO with two ends", pair[0], pair[1]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	add("stream socket", pair[0], -1);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
	add("datagram socket", pair[0], -1);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	add("packet socket", pair[0], -1);
	add("eventfd", MUST(eventfd(0, EFD_CLOEXEC)), -1);
	add("timerfd", MUST(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)), -1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	add("signalfd", MUST(signalfd(-1, &set, SFD_CLOEXEC)), -1);
	fd = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	MUST(grantpt(fd));
	MUST(unlockpt(fd));
	pair[0] = MUST(open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC));
	MUST(tcgetattr(pair[0], &raw));
	cfmakeraw(&raw);
	MUST(tcsetattr(pair[0], TCSANOW, &raw));
	add("terminal", pair[0], pair[0]);
	add("terminal's other side", fd, -1);
}

/* [the stream, a pipe that blocks too, a file] */
static void reads(io_context_t ctx, const struct stream *stream, const char *flags)
{
	static int file = -1, empty[2];
	struct iocb iocbs[3], *list[3] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	struct io_event events[3];
	int seen = signals_seen[SIGUSR1];

	if (file == -1) {
		file = scratch_filled("file", 0, 100, 'x');
		MUST(pipe2(empty, O_CLOEXEC));
	}
	io_prep_pread(&iocbs[0], stream->read_end, buffer, 128, 0);
	io_prep_pread(&iocbs[1], empty[0], buffer, 1, 0);
	io_prep_pread(&iocbs[2], file, buffer, 1, 0);
	pthread_t thread = start(interrupt, NULL);
	expect(io_submit(ctx, 3, list), 3, "%s, %s: io_submit", stream->name, flags);
	expect(in_ring(ctx), 3, "events at once");
	join(thread);
	expect(signals_seen[SIGUSR1] - seen, 1, "signals");
	expect(reap(ctx, 3, 3, events), 3, "reaped");
	for (int i = 0; i < 3; i++)
		expect(event_res(&events[i]), i < 2 ? -EINTR : 1, "event %d", i);
	/* And with what it blocks as the second. */
	list[0] = &iocbs[1];
	list[1] = &iocbs[0];
	thread = start(interrupt, NULL);
	expect(io_submit(ctx, 3, list), 3, "%s, %s, second: io_submit", stream->name, flags);
	join(thread);
	expect(reap(ctx, 3, 3, events), 3, "reaped");
	for (int i = 0; i < 3; i++)
		expect(event_res(&events[i]), i < 2 ? -EINTR : 1, "event %d", i);
}

/* [a write of too much, a write to the full stream, a read that blocks] */
static void writes(io_context_t ctx, const struct stream *stream, const char *flags)
{
	bool is_pipe = strcmp(stream->name, "terminal") != 0;
	struct iocb iocbs[3], *list[3] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	struct io_event events[3];
	int empty[2];

	MUST(pipe2(empty, O_CLOEXEC));
	memset(buffer, 'w', sizeof(buffer));
	io_prep_pwrite(&iocbs[0], stream->write_end, buffer, sizeof(buffer), 0);
	io_prep_pwrite(&iocbs[1], stream->write_end, buffer, sizeof(buffer), 0);
	io_prep_pread(&iocbs[2], empty[0], buffer, 1, 0);
	pthread_t thread = start(interrupt, NULL);
	expect(io_submit(ctx, 3, list), 3, "%s, %s, writes: io_submit", stream->name, flags);
	join(thread);
	expect(reap(ctx, 3, 3, events), 3, "reaped");
	if (is_pipe)
		expect(event_res(&events[0]), 4096, "event 0");
	else
		CHECK(event_res(&events[0]) > 0 && event_res(&events[0]) < (long)sizeof(buffer));
	expect(event_res(&events[1]), -EINTR, "event 1");
	expect(event_res(&events[2]), -EINTR, "event 2");
	/* Nothing fits any more; into a terminal something may. */
	if (is_pipe) {
		list[0] = &iocbs[1];
		thread = start(interrupt, NULL);
		expect(io_submit(ctx, 1, list), 1, "%s, %s, full: io_submit", stream->name, flags);
		join(thread);
		expect(reap(ctx, 1, 1, events), 1, "reaped");
		expect(event_res(&events[0]), -EINTR, "event");
	}
	/* Empty it. */
	int from = is_pipe ? stream->read_end : stream[1].read_end;
	struct pollfd ready = { .fd = from, .events = POLLIN };
	while (poll(&ready, 1, 20) == 1 && read(from, buffer, 4096) > 0)
		;
	close(empty[0]);
	close(empty[1]);
}

int main(void)
{
	io_context_t ctx = new_context(16);

	expect_interruption();
	alarm(25);
	open_streams();
	for (int restart = 0; restart < 2; restart++) {
		const char *flags = restart ? "SA_RESTART" : "no SA_RESTART";

		count_signal(SIGUSR1, restart ? SA_RESTART : 0);
		for (int i = 0; i < count; i++)
			if (streams[i].read_end != -1)
				reads(ctx, &streams[i], flags);
		for (int i = 0; i < count; i++)
			if (streams[i].write_end != -1)
				writes(ctx, &streams[i], flags);
	}
	end_context(ctx);
	return finish();
}
