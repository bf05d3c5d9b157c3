/* mmapanon.c - anonymous memory: zeroed, protected, split, replaced, given back.             (lab 5) */
#define _GNU_SOURCE
#include <sys/mman.h>
#include "say.h"

#define PAGE 4096
static char *m;

static void touch_first(void) { *(volatile char *)m = 1; }
static void touch_second(void) { *(volatile char *)(m + PAGE) = 1; }
static void read_second(void) { (void)*(volatile char *)(m + PAGE); }
static void call_it(void) { ((void (*)(void))(void *)m)(); }

static char *
map(size_t n, int prot, int flags)
{
	char *p = mmap(NULL, n, prot, flags, -1, 0);

	if (p == MAP_FAILED)
		say("mmap: %s\n", strerror(errno));
	return p;
}

static int
all_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i])
			return 0;
	}
	return 1;
}

int
main(void)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	char *p, *q;

	p = map(100 * PAGE, rw, anon);
	CHECK(((unsigned long)p & 4095) == 0 && all_zero(p, 100 * PAGE));
	memset(p, 7, 100 * PAGE);
	CALL(munmap(p + 10 * PAGE, PAGE));              /* a hole in the middle */
	m = p + 9 * PAGE;
	in_child("before the hole", touch_first);
	in_child("in the hole", touch_second);
	CHECK(p[9 * PAGE] == 7 && p[11 * PAGE] == 7);
	q = mmap(p + 10 * PAGE, PAGE, rw, anon | MAP_FIXED, -1, 0);
	CHECK(q == p + 10 * PAGE && all_zero(q, PAGE));
	CALL(munmap(p, 100 * PAGE));
	m = p;
	in_child("unmapped", touch_first);

	m = map(4 * PAGE, rw, anon);
	m[0] = (char)0xc3;                              /* ret */
	m[PAGE] = 5;
	in_child("execute data", call_it);
	CALL(mprotect(m, PAGE, PROT_READ | PROT_EXEC));
	in_child("execute code", call_it);
	in_child("write code", touch_first);
	in_child("write the page behind", touch_second);
	CALL(mprotect(m + PAGE, PAGE, PROT_NONE));
	in_child("read nothing", read_second);
	CALL(mprotect(m + PAGE, PAGE, PROT_READ));
	in_child("read again", read_second);
	in_child("write read-only", touch_second);
	CALL(mprotect(m + PAGE, PAGE, rw));
	CHECK(m[PAGE] == 5);

	CALL(munmap(m + 1, PAGE));
	CALL(munmap(m, 0));
	CALL(mprotect(m + 1, PAGE, rw));
	CALL(mprotect((void *)0x10000000000, PAGE, rw));
	CALL(munmap((void *)0x10000000000, PAGE));
	CALL(mmap(NULL, 0, rw, anon, -1, 0));
	CALL(mmap(NULL, PAGE, rw, MAP_ANONYMOUS, -1, 0));
	CALL(mmap((void *)1, PAGE, rw, anon | MAP_FIXED, -1, 0));
	CALL(mmap((void *)0xffffffff80000000, PAGE, rw, anon | MAP_FIXED, -1, 0));
	CALL(mmap(NULL, 1ul << 47, rw, anon, -1, 0));
	CALL(mmap(NULL, -PAGE, rw, anon, -1, 0));
	CALL(mmap(NULL, PAGE, rw, MAP_PRIVATE, -1, 0));
	return 0;
}
