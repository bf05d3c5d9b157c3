/* test_asan.c - crimes that SAN=1 must catch, each run by name only.                          (lab 2) */
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "kern/mem/page.h"
#include "lib/kern/string.h"

static volatile int forty = 40, largest = 0x7fffffff;
static volatile int sink;

KTEST_MANUAL(2, asan_after_free)
{
	volatile char *p = kmalloc(100);

	kfree((void *)p);
	sink = p[50];
}

KTEST_MANUAL(2, asan_behind_end)
{
	volatile char *p = kmalloc(100);     /* a class of 128 */

	p[forty + 60] = 1;
}

KTEST_MANUAL(2, asan_freed_page)
{
	struct page *p = page_alloc(PG_KERNEL);
	volatile int *v = page_virt(p);

	page_unref(p);
	sink = v[forty];
}

KTEST_MANUAL(2, asan_copy_too_long)
{
	char *p = kmalloc(40), *q = kmalloc(200);

	memcpy(q, p, forty + 1);
	sink = q[0];                         /* else the call is the last act, and leaves no frame */
}

KTEST_MANUAL(2, ubsan_shift)
{
	sink = 1 << forty;
}

KTEST_MANUAL(2, ubsan_overflow)
{
	sink = largest + forty;
}

KTEST_MANUAL(2, ubsan_index)
{
	static int array[4];

	sink = array[forty];
}
