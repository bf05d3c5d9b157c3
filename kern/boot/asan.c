/* asan.c - every load and store of the kernel asks first (SAN=1).                             (lab 1)
 *
 * Idea.       gcc -fsanitize=kernel-address puts a call before every access: __asan_load8_noabort(address) and
 *             so on. Here the address is looked up in a shadow that says which bytes belong to a living
 *             object, and an access to any other byte is a panic at the place of the crime, not a riddle
 *             an hour later. Who knows about objects is the allocator (kern/mem/asan_heap.c); before it
 *             has registered, everything is allowed.
 *
 *                 grain (8 bytes)     living | living | 3 of 8 | freed | ...
 *                 shadow                 8   |    8   |    3   |   0   |
 *
 *             memcpy and its sisters are not instrumented but wrapped (ld --wrap), with one check per range.
 * Invariants. I1 nothing in this file is instrumented (GNUmakefile).
 */
#include "kern/boot/asan.h"
#include "kern/boot/print.h"
#include "lib/kern/string.h"

static const struct asan_page *(*shadow)(uint64_t va);

void
asan_register(const struct asan_page *(*shadow_of)(uint64_t va))
{
	shadow = shadow_of;
}

static __attribute__((noinline)) void
report(uint64_t addr, uint64_t bad, size_t n, bool write)
{
	if (!panicking())
		panic("asan: %s of %lu bytes at %#lx: byte %#lx is freed memory, or behind the end of an object",
			write ? "write" : "read", n, addr, bad);
}

/* Panics unless all of [addr, addr + n) may be touched. */
static void
check(uint64_t addr, size_t n, bool write)
{
	const struct asan_page *p;

	if (!shadow)
		return;
	for (uint64_t at = addr, end = addr + n, stop; at < end; at = stop) {
		stop = (at & ~(ASAN_PAGE - 1)) + ASAN_PAGE;
		if (!(p = shadow(at)))
			continue;
		stop = (at & ~(uint64_t)(ASAN_GRAIN - 1)) + ASAN_GRAIN;
		uint64_t last = (stop < end ? stop : end) - 1;
		if (last % ASAN_GRAIN >= p->grain[at % ASAN_PAGE / ASAN_GRAIN]) {
			report(addr, last, n, write);
			return;
		}
	}
}

/* ---- what the compiler calls ---- */

#define ACCESS(n) \
	void __asan_load##n##_noabort(uint64_t a); \
	void __asan_load##n##_noabort(uint64_t a) { check(a, n, false); } \
	void __asan_store##n##_noabort(uint64_t a); \
	void __asan_store##n##_noabort(uint64_t a) { check(a, n, true); }

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __asan_loadN_noabort(uint64_t a, size_t n);
void __asan_loadN_noabort(uint64_t a, size_t n) { check(a, n, false); }
void __asan_storeN_noabort(uint64_t a, size_t n);
void __asan_storeN_noabort(uint64_t a, size_t n) { check(a, n, true); }
void __asan_handle_no_return(void);
void __asan_handle_no_return(void) { }

/* ---- what the linker redirects here ---- */

void *__real_memcpy(void *restrict dst, const void *restrict src, size_t n);
void *__real_memmove(void *dst, const void *src, size_t n);
void *__real_memset(void *dst, int c, size_t n);
int __real_memcmp(const void *a, const void *b, size_t n);
void *__wrap_memcpy(void *restrict dst, const void *restrict src, size_t n);
void *__wrap_memmove(void *dst, const void *src, size_t n);
void *__wrap_memset(void *dst, int c, size_t n);
int __wrap_memcmp(const void *a, const void *b, size_t n);

void *
__wrap_memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	check((uint64_t)src, n, false);
	check((uint64_t)dst, n, true);
	return __real_memcpy(dst, src, n);
}

void *
__wrap_memmove(void *dst, const void *src, size_t n)
{
	check((uint64_t)src, n, false);
	check((uint64_t)dst, n, true);
	return __real_memmove(dst, src, n);
}

void *
__wrap_memset(void *dst, int c, size_t n)
{
	check((uint64_t)dst, n, true);
	return __real_memset(dst, c, n);
}

int
__wrap_memcmp(const void *a, const void *b, size_t n)
{
	check((uint64_t)a, n, false);
	check((uint64_t)b, n, false);
	return __real_memcmp(a, b, n);
}
