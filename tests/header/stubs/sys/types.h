/* What libaio.h needs of a C library, for targets without one. */
#ifndef STUB_SYS_TYPES_H
#define STUB_SYS_TYPES_H

typedef __SIZE_TYPE__ size_t;

#endif
