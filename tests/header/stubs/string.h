#ifndef STUB_STRING_H
#define STUB_STRING_H

#include <sys/types.h>

#define NULL ((void *)0)

void *memset(void *to, int byte, size_t count);
void *memcpy(void *to, const void *from, size_t count);

#endif
