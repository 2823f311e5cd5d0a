#ifndef STUB_SYS_SELECT_H
#define STUB_SYS_SELECT_H

typedef struct {
	unsigned long words[128 / sizeof(unsigned long)];
} sigset_t;

struct timespec {
	long tv_sec;
	long tv_nsec;
};

#endif
