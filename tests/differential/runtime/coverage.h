/*
 * Which parts of the library a program has reached, for a fuzzer. A library that is compiled for it
 * counts in bytes of its own, and hands them to the functions below. At the end of a program those that
 * were reached are noted in the file COVERAGE, from which the fuzzer takes them; how often they were is
 * a matter of time.
 */
#ifndef RUNTIME_COVERAGE_H
#define RUNTIME_COVERAGE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* As the fuzzer has it. */
enum { COUNTERS = 1 << 16 };

static unsigned char *first_counter, *end_of_counters, *reached;

/* Called by constructors of the library: the compiler has made these calls. */
void __sanitizer_cov_8bit_counters_init(unsigned char *first, unsigned char *end);
void __sanitizer_cov_8bit_counters_init(unsigned char *first, unsigned char *end)
{
	first_counter = first;
	end_of_counters = end;
}

/* What else it tells is not used. */
extern _Thread_local uintptr_t __sancov_lowest_stack;
_Thread_local uintptr_t __sancov_lowest_stack;
#define IGNORED(name, ...)              \
	void __sanitizer_cov_##name(__VA_ARGS__); \
	void __sanitizer_cov_##name(__VA_ARGS__) { }
IGNORED(pcs_init, const uintptr_t *, const uintptr_t *)
IGNORED(trace_pc_indir, uintptr_t)
IGNORED(trace_cmp1, uint8_t, uint8_t)
IGNORED(trace_cmp2, uint16_t, uint16_t)
IGNORED(trace_cmp4, uint32_t, uint32_t)
IGNORED(trace_cmp8, uint64_t, uint64_t)
IGNORED(trace_const_cmp1, uint8_t, uint8_t)
IGNORED(trace_const_cmp2, uint16_t, uint16_t)
IGNORED(trace_const_cmp4, uint32_t, uint32_t)
IGNORED(trace_const_cmp8, uint64_t, uint64_t)
IGNORED(trace_switch, uint64_t, uint64_t *)
IGNORED(trace_div4, uint32_t)
IGNORED(trace_div8, uint64_t)
IGNORED(trace_gep, uintptr_t)
#undef IGNORED

/* Before programs are run: they share the memory. */
static void map_coverage(void)
{
	const char *path = getenv("COVERAGE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (!path)
		return;
	reached = mmap(NULL, COUNTERS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (reached == MAP_FAILED || end_of_counters - first_counter > COUNTERS) {
		fprintf(stderr, "no room for %ld counters in %s\n",
			(long)(end_of_counters - first_counter), path);
		exit(2);
	}
	close(fd);
}

static void add_coverage(void)
{
	for (long i = 0; reached && i < end_of_counters - first_counter; i++)
		reached[i] |= first_counter[i] != 0;
}

#endif
