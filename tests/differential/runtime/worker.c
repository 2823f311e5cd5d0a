/*
 * Runs programs that come on stdin, each in a process of its own, and writes their transcripts.
 *
 * A program is a line for each call, the name of a function and integers, and ends with a line "."; so
 * does a transcript.
 */
#include "coverage.h"
#include "program.h"

#include <ctype.h>
#include <dirent.h>

enum { LINES = 400, ARGUMENTS = 24, PATIENCE = 40 };

static struct {
	void (*function)(const long *);
	long arguments[ARGUMENTS];
} lines[LINES];
static int line_count;

static bool read_program(void)
{
	static char text[4096];

	line_count = 0;
	while (fgets(text, sizeof(text), stdin)) {
		char *rest = text;
		size_t i;

		if (text[0] == '.')
			return true;
		for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
			size_t length = strlen(functions[i].name);

			if (!strncmp(text, functions[i].name, length) && !isalpha((unsigned char)text[length]) &&
			    text[length] != '_')
				break;
		}
		if (i == sizeof(functions) / sizeof(functions[0]) || line_count == LINES) {
			fprintf(stderr, "no such call: %s", text);
			exit(2);
		}
		memset(&lines[line_count], 0, sizeof(lines[0]));
		lines[line_count].function = functions[i].function;
		rest += strlen(functions[i].name);
		for (int k = 0; k < ARGUMENTS; k++) {
			char *next;
			long value = strtol(rest, &next, 10);

			if (next == rest)
				break;
			lines[line_count].arguments[k] = value;
			rest = next;
		}
		line_count++;
	}
	return false;
}

/* Where the threads of a program that hangs are. */
static void show_threads(pid_t pid)
{
	static const char *const what[] = { "comm", "wchan", "syscall" };
	char path[96], text[256];

	printf("HANGS\n");
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		printf("  thread");
		for (size_t i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "/proc/%d/task/%.20s/%s", (int)pid, entry->d_name,
				 what[i]);
			FILE *file = fopen(path, "r");

			if (file && fgets(text, sizeof(text), file))
				printf(" %.*s", (int)strcspn(text, "\n"), text);
			if (file)
				fclose(file);
		}
		printf("\n");
	}
	if (directory)
		closedir(directory);
}

static void run(int out)
{
	/* What the kernel deals out to processors shall come from one. */
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
	begin();
	for (int i = 0; i < line_count; i++)
		lines[i].function(lines[i].arguments);
	end();
	add_coverage();
	for (size_t done = 0; done < transcript_length;) {
		ssize_t moved = write(out, transcript + done, transcript_length - done);

		if (moved <= 0)
			_exit(4);
		done += (size_t)moved;
	}
	_exit(0);
}

int main(void)
{
	static char buffer[sizeof(transcript)];
	char path[64];

	signal(SIGPIPE, SIG_DFL);
	map_coverage();
	while (read_program()) {
		size_t length = 0;
		ssize_t moved;
		int pair[2], status;
		pid_t pid;

		if (pipe2(pair, O_CLOEXEC))
			trouble("pipe2");
		pid = fork();
		if (pid == -1)
			trouble("fork");
		if (pid == 0) {
			setpgid(0, 0);
			/* Out of the way of the program's own numbers. */
			run(fcntl(pair[1], F_DUPFD_CLOEXEC, 100));
		}
		setpgid(pid, pid);
		close(pair[1]);
		for (;;) {
			struct pollfd readable = { pair[0], POLLIN, 0 };

			if (poll(&readable, 1, PATIENCE * 1000) == 0) {
				show_threads(pid);
				break;
			}
			moved = read(pair[0], buffer + length, sizeof(buffer) - length);
			if (moved <= 0)
				break;
			length += (size_t)moved;
		}
		kill(-pid, SIGKILL);
		close(pair[0]);
		waitpid(pid, &status, 0);
		fwrite(buffer, 1, length, stdout);
		if (length == 0)
			printf("ended with status %x\n", (unsigned)status);
		printf(".\n");
		fflush(stdout);
		for (int i = 0; i < 256; i++) {
			if (length)
				break;
			snprintf(path, sizeof(path), "/dev/shm/uaio-differential-%d.%d", (int)pid, i);
			unlink(path);
		}
	}
	return 0;
}
