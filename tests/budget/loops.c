/* One kind of work, over and over, for a tracer that counts the system calls.
 *
 * usage: loops WORK FILE. FILE is made. getppid() stands before and after the ROUNDS that count. */
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROUNDS = 64, WARM_UP = 64, MOST = 16, BLOCK = 4096 };

static io_context_t context;
struct memory {
    struct iocb iocbs[MOST], *list[MOST];
    struct io_event events[MOST];
};
static struct memory data;
static struct iocb **list = data.list;
static struct io_event *events = data.events;
static char *buffer;
static int fd, resfd;

static void require(int is_true, const char *what) {
    if (!is_true) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void submit(int count) { require(io_submit(context, count, list) == count, "io_submit"); }

static void reap(int count) {
    require(io_getevents(context, count, count, events, NULL) == count, "io_getevents");
    for (int i = 0; i < count; i++) require((long)events[i].res >= 0, "an event");
}

static void reads(int count) {
    for (int i = 0; i < count; i++) io_prep_pread(list[i], fd, buffer + i * BLOCK, BLOCK, i * BLOCK);
    submit(count);
    reap(count);
}

static void writes(int count) {
    for (int i = 0; i < count; i++) io_prep_pwrite(list[i], fd, buffer + i * BLOCK, BLOCK, i * BLOCK);
    submit(count);
    reap(count);
}

static void one_read(void) { reads(1); }

/* The same with iocbs and events in pages of their own, of which nobody knows whether they are there. */
static void one_read_elsewhere(void) {
    static struct memory *pages;
    if (!pages) {
        pages = mmap(NULL, sizeof *pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(pages != MAP_FAILED, "mmap");
        list = pages->list;
        list[0] = pages->iocbs;
        events = pages->events;
    }
    reads(1);
}

static void many_reads(void) { reads(MOST); }
static void one_write(void) { writes(1); }
static void many_writes(void) { writes(MOST); }

static void signalled_read(void) {
    eventfd_t value;
    io_prep_pread(list[0], fd, buffer, BLOCK, 0);
    io_set_eventfd(list[0], resfd);
    submit(1);
    require(eventfd_read(resfd, &value) == 0 && value == 1, "eventfd_read");
    reap(1);
}

static void one_sync(void) {
    io_prep_fdsync(list[0], fd);
    submit(1);
    reap(1);
}

static void ready_polls(int count) {
    for (int i = 0; i < count; i++) io_prep_poll(list[i], fd, POLLOUT);
    submit(count);
    reap(count);
}

static void one_ready_poll(void) { ready_polls(1); }
static void many_ready_polls(void) { ready_polls(MOST); }

static void armed_poll(void) {
    eventfd_t value = 1;
    io_prep_poll(list[0], fd, POLLIN);
    submit(1);
    require(eventfd_write(fd, value) == 0, "eventfd_write");
    reap(1);
    require(eventfd_read(fd, &value) == 0, "eventfd_read");
}

static void nothing_there(void) {
    /* Not on the stack, where it may lie on the page of the library's own frame, or may not. */
    static struct timespec now = {0, 0};

    require(io_getevents(context, 0, MOST, events, &now) == 0, "io_getevents");
}

static const struct {
    const char *name;
    int flags; /* for open; -1: an eventfd */
    void (*round)(void);
} works[] = {
    {"cached_read", 0, one_read},
    {"cached_read_elsewhere", 0, one_read_elsewhere},
    {"cached_reads", 0, many_reads},
    {"cached_write", 0, one_write},
    {"signalled_read", 0, signalled_read},
    {"direct_read", O_DIRECT, one_read},
    {"direct_reads", O_DIRECT, many_reads},
    {"direct_write", O_DIRECT, one_write},
    {"direct_writes", O_DIRECT, many_writes},
    {"sync", 0, one_sync},
    {"ready_poll", -1, one_ready_poll},
    {"ready_polls", -1, many_ready_polls},
    {"armed_poll", -1, armed_poll},
    {"nothing_there", 0, nothing_there},
};

int main(int argc, char **argv) {
    require(argc == 3, "usage: loops WORK FILE");
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        if (strcmp(works[i].name, argv[1])) continue;
        require(!posix_memalign((void **)&buffer, BLOCK, MOST * BLOCK), "posix_memalign");
        memset(buffer, 'x', MOST * BLOCK);
        for (int k = 0; k < MOST; k++) list[k] = &data.iocbs[k];
        int file = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
        require(write(file, buffer, MOST * BLOCK) == MOST * BLOCK && fsync(file) == 0, argv[2]);
        fd = works[i].flags < 0 ? eventfd(0, EFD_NONBLOCK) : open(argv[2], O_RDWR | works[i].flags);
        require(fd >= 0, argv[2]);
        require((resfd = eventfd(0, 0)) >= 0, "eventfd");
        require(io_setup(2 * MOST, &context) == 0, "io_setup");
        for (int k = 0; k < WARM_UP; k++) works[i].round();
        getppid();
        for (int k = 0; k < ROUNDS; k++) works[i].round();
        getppid();
        require(io_destroy(context) == 0, "io_destroy");
        return 0;
    }
    fprintf(stderr, "%s: no such work\n", argv[1]);
    return 1;
}
