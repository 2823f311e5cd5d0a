/* The files of a program. File number F has descriptor 20 + F, its other end 40 + F. */
#ifndef RUNTIME_FILES_H
#define RUNTIME_FILES_H

#include "base.h"

enum kind {
	BUFFERED,
	DIRECT,
	APPEND,
	SPARSE,
	SPARSE_DIRECT,
	DIRECT_APPEND,
	MEMFD,
	TMPFS,
	TMPFS_DIRECT,
	PIPE_IN,
	PIPE_OUT,
	FIFO,
	STREAM,
	DATAGRAM,
	EVENTFD,
	SEMAPHORE,
	TIMERFD,
	PTY_MASTER,
	PTY_SLAVE,
	DIRECTORY,
	PATH_ONLY,
	DEV_NULL,
	DEV_ZERO,
	DEV_FULL,
	CLOSED,
	READ_ONLY,
	WRITE_ONLY,
	EPOLL,
	INOTIFY,
	TCP,
	UDP,
	KINDS,
};

struct file {
	enum kind kind;
	/* An identity that goes where dup2 puts it. */
	int inode;
	char path[64];
};

static struct file files[FILES];
static int inodes;
/* Sizes of regular files, to know which direct writes extend them. */
static long size_of_inode[256];

enum { SIZE = 65536 };

static int fd_of(long file)
{
	return 20 + (int)file;
}

static int end_of(long file)
{
	return 40 + (int)file;
}

static struct file *file_at(long number)
{
	return &files[(unsigned long)number % FILES];
}

/* On a file system whose direct I/O is asynchronous. */
static bool is_on_disk(enum kind kind)
{
	return kind == BUFFERED || kind == DIRECT || kind == APPEND || kind == SPARSE ||
	       kind == SPARSE_DIRECT || kind == DIRECT_APPEND || kind == READ_ONLY || kind == WRITE_ONLY;
}

static bool is_regular(enum kind kind)
{
	return is_on_disk(kind) || kind == MEMFD || kind == TMPFS || kind == TMPFS_DIRECT;
}

static bool is_stream(enum kind kind)
{
	return (kind >= PIPE_IN && kind <= PTY_SLAVE) || kind == TCP || kind == UDP || kind == INOTIFY;
}

/* Moves a descriptor to its number, and sets its flags. */
static void place(int from, int to, int is_nonblocking)
{
	if (from == -1 || dup2(from, to) == -1)
		trouble("open");
	if (from != to)
		close(from);
	if (is_nonblocking)
		fcntl(to, F_SETFL, fcntl(to, F_GETFL) | O_NONBLOCK);
}

static int open_regular(struct file *file, int flags)
{
	static char block[SIZE];
	struct rlimit limit, none = { RLIM_INFINITY, RLIM_INFINITY };
	bool is_sparse = file->kind == SPARSE || file->kind == SPARSE_DIRECT;
	int fd;

	getrlimit(RLIMIT_FSIZE, &limit);
	setrlimit(RLIMIT_FSIZE, &none);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7 + i / 512 + (size_t)file->inode);
	if (file->kind == MEMFD) {
		fd = memfd_create("memfd", 0);
		if (write(fd, block, SIZE) != SIZE)
			trouble("memfd");
		setrlimit(RLIMIT_FSIZE, &limit);
		return fd;
	}
	snprintf(file->path, sizeof(file->path), "%s%d.%d",
		 file->kind == TMPFS || file->kind == TMPFS_DIRECT ? "/dev/shm/uaio-differential-" : "file",
		 (int)getpid(), file->inode);
	fd = open(file->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd == -1 || (is_sparse ? pwrite(fd, block, PAGE, 2 * PAGE) != PAGE || ftruncate(fd, SIZE) :
				     write(fd, block, SIZE) != SIZE))
		trouble(file->path);
	close(fd);
	setrlimit(RLIMIT_FSIZE, &limit);
	return open(file->path, flags);
}

static void open_pty(long number, bool is_master, int is_nonblocking)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	char name[64];

	if (master == -1 || grantpt(master) || unlockpt(master) || ptsname_r(master, name, sizeof(name)))
		trouble("pty");
	slave = open(name, O_RDWR | O_NOCTTY);
	place(is_master ? master : slave, fd_of(number), is_nonblocking);
	place(is_master ? slave : master, end_of(number), true);
}

/* Opens a file of a kind, in place of what was there. */
static void open_file(const long *a)
{
	long number = a[0] % FILES;
	struct file *file = file_at(number);
	int fd = fd_of(number), end = end_of(number), pair[2];

	close(fd);
	close(end);
	*file = (struct file){ .kind = (enum kind)(a[1] % KINDS), .inode = ++inodes % 256 };
	size_of_inode[file->inode] = SIZE;
	switch (file->kind) {
	case BUFFERED:
	case SPARSE:
	case MEMFD:
	case TMPFS:
		place(open_regular(file, O_RDWR), fd, false);
		break;
	case DIRECT:
	case SPARSE_DIRECT:
	case TMPFS_DIRECT:
		place(open_regular(file, O_RDWR | O_DIRECT), fd, false);
		break;
	case APPEND:
		place(open_regular(file, O_RDWR | O_APPEND), fd, false);
		break;
	case DIRECT_APPEND:
		place(open_regular(file, O_RDWR | O_APPEND | O_DIRECT), fd, false);
		break;
	case READ_ONLY:
		place(open_regular(file, O_RDONLY), fd, false);
		break;
	case WRITE_ONLY:
		place(open_regular(file, O_WRONLY), fd, false);
		break;
	case PIPE_IN:
	case PIPE_OUT:
		if (pipe(pair))
			trouble("pipe");
		place(pair[file->kind == PIPE_OUT], fd, (int)a[2]);
		place(pair[file->kind == PIPE_IN], end, true);
		break;
	case FIFO:
		snprintf(file->path, sizeof(file->path), "fifo%d.%d", (int)getpid(), file->inode);
		if (mkfifo(file->path, 0600))
			trouble("mkfifo");
		place(open(file->path, O_RDWR), fd, (int)a[2]);
		place(open(file->path, O_RDWR), end, true);
		break;
	case STREAM:
	case DATAGRAM:
		if (socketpair(AF_UNIX, file->kind == STREAM ? SOCK_STREAM : SOCK_DGRAM, 0, pair))
			trouble("socketpair");
		place(pair[0], fd, (int)a[2]);
		place(pair[1], end, true);
		break;
	case EVENTFD:
	case SEMAPHORE:
		place(eventfd(0, file->kind == SEMAPHORE ? EFD_SEMAPHORE : 0), fd, (int)a[2]);
		break;
	case TIMERFD:
		place(timerfd_create(CLOCK_MONOTONIC, 0), fd, (int)a[2]);
		break;
	case PTY_MASTER:
	case PTY_SLAVE:
		open_pty(number, file->kind == PTY_MASTER, (int)a[2]);
		break;
	case DIRECTORY:
		place(open("/usr", O_RDONLY | O_DIRECTORY), fd, false);
		break;
	case PATH_ONLY:
		place(open("/usr", O_PATH), fd, false);
		break;
	case DEV_NULL:
		place(open("/dev/null", O_RDWR), fd, false);
		break;
	case DEV_ZERO:
		place(open("/dev/zero", O_RDWR), fd, false);
		break;
	case DEV_FULL:
		place(open("/dev/full", O_RDWR), fd, false);
		break;
	case EPOLL:
		place(epoll_create1(0), fd, false);
		break;
	case INOTIFY:
		place(inotify_init1(IN_NONBLOCK), fd, false);
		break;
	case TCP:
		place(socket(AF_INET, SOCK_STREAM, 0), fd, true);
		break;
	case UDP:
		place(socket(AF_INET, SOCK_DGRAM, 0), fd, true);
		break;
	default:
		break;
	}
}

/* What is left in a file, or what it contains. */
static void tell_file(long number)
{
	struct file *file = file_at(number);
	int fd = fd_of(number);
	static char all[1 << 20];
	long length = 0, got;
	uint64_t count;
	int plain;

	tell("file %ld: flags %x, closed on exec %d", number, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	if (file->path[0] || file->kind == MEMFD) {
		struct stat status;
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		plain = open(file->path[0] ? file->path : path, O_RDONLY | O_NONBLOCK);
		while (plain != -1 && fstat(plain, &status) == 0 && S_ISREG(status.st_mode) &&
		       (got = read(plain, all + length, sizeof(all) - (size_t)length)) > 0)
			length += got;
		close(plain);
	}
	if (is_stream(file->kind) && fcntl(fd, F_GETFL) != -1) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (file->kind == EVENTFD || file->kind == SEMAPHORE)
			length = read(fd, &count, 8) == 8 ? (long)count : 0;
		else if (file->kind != TIMERFD && file->kind != INOTIFY)
			while ((got = read(fd, all + length, sizeof(all) - (size_t)length)) > 0)
				length += got;
	}
	if (is_stream(file->kind) && fcntl(end_of(number), F_GETFL) != -1)
		while ((got = read(end_of(number), all + length, sizeof(all) - (size_t)length)) > 0)
			length += got;
	tell(", %ld, %x\n", length, file->kind == EVENTFD || file->kind == SEMAPHORE ? 0 : hash(all, (size_t)length));
	if (file->path[0])
		unlink(file->path);
}

#endif
