/* test_mem.c - tests of lab 2.                                                                (lab 2) */
#include "kern/boot/bootinfo.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "kern/mem/page.h"
#include "kern/mem/pagetable.h"
#include "kern/mem/ram.h"
#include "lib/kern/string.h"

/* A small generator (xorshift): tests repeat exactly. */
static uint64_t
random_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Maps of up to 12 random ranges, overlapping as they like: spans overlap neither holes nor each other,
 * and no page of RAM outside the holes is forgotten. A page is one bit in 64. */
KTEST(2, ram_spans)
{
	static struct bootinfo b;
	static struct ram m;
	uint64_t seed = 0x2545f4914f6cdd1dul;

	for (int round = 0; round < 3000; round++) {
		uint64_t want = 0, holes = 0, got = 0, at = 0;
		struct span s;
		int k = 0;

		b.nmem = (int)(random_next(&seed) % 12);
		for (int i = 0; i < b.nmem; i++) {
			uint64_t lo = random_next(&seed) % 60, n = 1 + random_next(&seed) % (64 - lo - 1);
			uint64_t bits = ((1ul << n) - 1) << lo;
			enum mem_type type = random_next(&seed) % 3 ? MEM_RAM : MEM_RESERVED;

			b.mem[i] = (struct mem_range){ lo * PAGE_SIZE, n * PAGE_SIZE, type };
			*(type == MEM_RAM ? &want : &holes) |= bits;
		}
		ram_init(&m, &b);
		while (ram_next(&m, &k, &at, ~0ul, &s)) {
			uint64_t bits = ((1ul << ((s.hi - s.lo) >> PAGE_SHIFT)) - 1) << (s.lo >> PAGE_SHIFT);

			CHECK(s.lo < s.hi && !(got & bits));
			got |= bits;
		}
		CHECK_EQ(got, want & ~holes);
	}
}

KTEST(2, page_addresses)
{
	struct page *p = page_alloc(PG_KERNEL);

	CHECK(p);
	if (!p)
		return;
	CHECK_EQ(page_refs(p), 1);
	CHECK(page_of_phys(page_phys(p)) == p);
	CHECK(page_of_virt(page_virt(p)) == p);
	CHECK_EQ(V2P(page_virt(p)), page_phys(p));
	page_unref(p);
	CHECK(page_of_phys(0) == NULL);
	CHECK(page_of_phys(~0ul) == NULL);
}

KTEST(2, page_refcount)
{
	uint64_t before = page_count_free();
	struct page *p = page_alloc(PG_KERNEL);

	page_ref(p);
	page_unref(p);
	CHECK_EQ(page_refs(p), 1);
	CHECK_EQ(page_count_free(), before - 1);
	page_unref(p);
	CHECK_EQ(page_count_free(), before);
}

KTEST(2, page_zero_and_copy)
{
	struct page *a = page_alloc_zero(PG_KERNEL), *b = page_alloc(PG_KERNEL);
	uint64_t *x = page_virt(a), *y = page_virt(b), sum = 0;

	for (int i = 0; i < 512; i++)
		sum |= x[i];
	CHECK_EQ(sum, 0);
	x[511] = 7;
	page_copy(b, a);
	CHECK(memcmp(x, y, PAGE_SIZE) == 0);
	page_unref(a);
	page_unref(b);
}

KTEST(2, page_orders)
{
	for (int o = 0; o <= PAGE_MAX_ORDER; o++) {
		struct page *p = page_alloc_order(o, PG_KERNEL);

		CHECK(p);
		if (!p)
			continue;
		CHECK_EQ(page_phys(p) % (PAGE_SIZE << o), 0);
		memset(page_virt(p), 0x11, PAGE_SIZE << o);
		page_unref(p);
	}
	CHECK(page_alloc_order(PAGE_MAX_ORDER + 1, PG_KERNEL) == NULL);
	CHECK(page_alloc_order(-1, PG_KERNEL) == NULL);
}

/* All of memory, each page written with its own address: no page is handed out twice, and the end is an
 * error. */
KTEST(2, page_exhaust)
{
	struct list all;
	uint64_t before = page_count_free(), n = 0, bad = 0;
	struct page *p;

	list_init(&all);
	while ((p = page_alloc(PG_KERNEL))) {
		*(uint64_t *)page_virt(p) = page_phys(p);
		list_push_back(&all, &p->link);
		n++;
	}
	CHECK(n + 64 * (NCPU - 1) >= before);
	CHECK(kmalloc(1 << 20) == NULL);
	CHECK(page_alloc_order(3, PG_KERNEL) == NULL);
	list_for_each_safe(q, &all, struct page, link) {
		bad += *(uint64_t *)page_virt(q) != page_phys(q);
		list_remove(&q->link);
		page_unref(q);
	}
	CHECK_EQ(bad, 0);
	CHECK(page_count_free() + 8 >= before);        /* kernel threads on other CPUs allocate too; reclaim gives */
	p = page_alloc_order(PAGE_MAX_ORDER, PG_KERNEL);        /* everything merged again */
	CHECK(p);
	if (p)
		page_unref(p);
}

KTEST(2, page_random_orders)
{
	static struct page *held[64];
	uint64_t seed = 88172645463325252ul, bad = 0;

	for (int i = 0; i < 20000; i++) {
		uint64_t r = random_next(&seed);
		struct page **h = &held[r % 64];

		if (*h) {
			bad += *(uint64_t *)page_virt(*h) != (uint64_t)*h;
			page_unref(*h);
			*h = NULL;
		} else if ((*h = page_alloc_order((int)(r >> 8 & 0xff) % 6, PG_KERNEL))) {
			*(uint64_t *)page_virt(*h) = (uint64_t)*h;
		}
	}
	for (int i = 0; i < 64; i++)
		if (held[i])
			page_unref(held[i]);
	memset(held, 0, sizeof held);
	CHECK_EQ(bad, 0);
}

/* ---- page tables ---- */

KTEST(2, pt_map_unmap)
{
	struct pagetable pt;
	struct page *p = page_alloc_zero(PG_ANON);
	uint64_t va = 0x400000;
	pte_t *e;

	CHECK_EQ(pt_init(&pt), 0);
	CHECK(pt_walk(&pt, va, false) == NULL);
	CHECK_EQ(pt_map(&pt, va, page_phys(p), PTE_W | PTE_NX), 0);   /* no PTE_U: SMAP, once lab 3 is there, guards those */
	e = pt_walk(&pt, va, false);
	CHECK(e && (*e & PTE_ADDR) == page_phys(p) && (*e & PTE_P));
	pt_load(&pt);
	*(volatile uint64_t *)page_virt(p) = 42;
	CHECK_EQ(*(volatile uint64_t *)va, 42);
	pt_load(&kernel_pt);
	CHECK_EQ(pt_unmap(&pt, va) & PTE_ADDR, page_phys(p));
	CHECK_EQ(pt_unmap(&pt, va), 0);
	CHECK_EQ(pt_unmap(&pt, 0x7fff00000000), 0);
	pt_destroy(&pt);
	page_unref(p);
}

static int
count_leaf(pte_t *pte, uint64_t va, void *arg)
{
	uint64_t *n = arg;

	n[0]++;
	n[1] ^= va;
	*pte = 0;
	return 0;
}

static int
stop_at_second(pte_t *pte, uint64_t va, void *arg)
{
	(void)pte;
	(void)va;
	return ++*(int *)arg == 2 ? 99 : 0;
}

KTEST(2, pt_each_visits_all)
{
	static const uint64_t vas[] = { 0x1000, 0x1ff000, 0x200000, 0x40000000, 0x7fffffff0000, 0x7fffffffe000 };
	uint64_t n[2] = { 0, 0 }, want = 0;
	struct pagetable pt;
	int k = 0;

	CHECK_EQ(pt_init(&pt), 0);
	for (unsigned i = 0; i < 6; i++) {
		CHECK_EQ(pt_map(&pt, vas[i], 0x1000, PTE_U), 0);
		want ^= vas[i];
	}
	CHECK_EQ(pt_each(&pt, 0, USER_END, stop_at_second, &k), 99);
	CHECK_EQ(pt_each(&pt, 0x2000, 0x200000, count_leaf, n), 0);
	CHECK_EQ(n[0], 1);
	CHECK_EQ(pt_each(&pt, 0, USER_END, count_leaf, n), 0);
	CHECK_EQ(n[0], 6);
	CHECK_EQ(n[1], want);
	CHECK_EQ(pt_each(&pt, 0, USER_END, count_leaf, n), 0);
	CHECK_EQ(n[0], 6);
	pt_destroy(&pt);
}

/* What a table was used for must not show when it is used again. */
KTEST(2, pt_tables_come_back_clean)
{
	struct pagetable pt;
	uint64_t n[2] = { 0, 0 };

	for (int round = 0; round < 40; round++) {
		CHECK_EQ(pt_init(&pt), 0);
		CHECK_EQ(pt_each(&pt, 0, USER_END, count_leaf, n), 0);
		for (uint64_t i = 0; i < 30; i++)
			CHECK_EQ(pt_map(&pt, (i * 37 + (uint64_t)round * 11) << 19, 0x1000, PTE_U), 0);
		pt_destroy(&pt);
	}
	CHECK_EQ(n[0], 0);
}

/* No page of the kernel's half is writable and executable, and only the image's text is executable at all. */
static void
check_wx(pte_t *table, int level, uint64_t base)
{
	extern char text_start[], rodata_start[];

	for (uint64_t i = level == 3 ? 256 : 0; i < 512; i++) {
		uint64_t va = (base + (i << (12 + 9 * level))) | (level == 3 ? 0xffff000000000000ul : 0);
		pte_t e = table[i];

		if (!(e & PTE_P))
			continue;
		CHECK(!(e & PTE_U));
		if (level > 0 && !(e & PTE_PS))
			check_wx(P2V(e & PTE_ADDR), level - 1, va);
		else if (!(e & PTE_NX))
			CHECK(!(e & PTE_W) && va >= (uint64_t)text_start && va < (uint64_t)rodata_start);
	}
}

KTEST(2, kernel_map_is_w_xor_x)
{
	check_wx(P2V(kernel_pt.root), 3, 0);
}

KTEST(2, kernel_text_is_read_only_in_direct_map)
{
	extern char text_start[], rodata_end[];

	for (uint64_t va = (uint64_t)text_start; va < (uint64_t)rodata_end; va += PAGE_SIZE) {
		pte_t *e = pt_walk(&kernel_pt, (uint64_t)P2V(va - KERNBASE), false);

		CHECK(e && !(*e & PTE_W));
	}
}

KTEST(2, directmap_ptr_bounds)
{
	struct page *p = page_alloc(PG_KERNEL);

	CHECK(directmap_ptr(page_phys(p), PAGE_SIZE) == page_virt(p));
	CHECK(directmap_ptr(0xb8000, 4000) == P2V(0xb8000));
	CHECK(directmap_ptr(~0ul - 10, 100) == NULL);
	CHECK(directmap_ptr(1ul << 45, 8) == NULL);
	CHECK(directmap_ptr(0xfee00000, 8) == NULL);
	page_unref(p);
}

KTEST(2, device_mapping)
{
	struct page *p = page_alloc(PG_KERNEL);
	volatile uint32_t *d = map_device(page_phys(p) + 0x10, 0x20);

	CHECK(d);
	if (d) {
		*d = 0x1234;
		CHECK_EQ(*(uint32_t *)((char *)page_virt(p) + 0x10), 0x1234);
		CHECK_EQ((uint64_t)d & 0xfff, 0x10);
		unmap_device((void *)d, 0x20);
	}
	CHECK(map_device(0, 0) == NULL);
	CHECK(map_device(~0ul - 100, 4096) == NULL);
	CHECK(map_device(0, 1ul << 40) == NULL);
	page_unref(p);
}

KTEST(2, kernel_stacks)
{
	static void *tops[200];
	pte_t *e;

	for (int i = 0; i < 200; i++) {
		tops[i] = kstack_alloc();
		CHECK(tops[i]);
		if (tops[i])
			memset((char *)tops[i] - KSTACK_SIZE, i, KSTACK_SIZE);
	}
	for (int i = 0; i < 200 && tops[i]; i++) {
		uint64_t bottom = (uint64_t)tops[i] - KSTACK_SIZE;

		CHECK_EQ(*(uint8_t *)bottom, i);
		e = pt_walk(&kernel_pt, bottom - 8, false);
		CHECK(!e || !(*e & PTE_P));
		CHECK(kstack_guard(bottom - 8));
		CHECK(!kstack_guard(bottom));
		kstack_free(tops[i]);
	}
}

/* More stacks over time than there are slots: stale slots must come back. */
KTEST(2, kernel_stack_slots_recycle)
{
	static void *tops[64];
	int bad = 0;

	for (int round = 0; round < 400; round++) {
		for (int i = 0; i < 64; i++)
			bad += !(tops[i] = kstack_alloc());
		for (int i = 0; i < 64; i++)
			if (tops[i]) {
				*(uint64_t *)((uint64_t)tops[i] - 8) = (uint64_t)round;
				kstack_free(tops[i]);
			}
	}
	CHECK_EQ(bad, 0);
}

/* ---- heap ---- */

KTEST(2, heap_sizes)
{
	for (size_t n = 0; n <= 20000; n = n < 100 ? n + 1 : n + n / 7) {
		uint8_t *p = kmalloc(n);

		CHECK(p);
		CHECK_EQ((uint64_t)p % (n > 2048 ? 4096 : 16), 0);
		memset(p, 0x77, n);
		kfree(p);
	}
	kfree(NULL);
	CHECK(kmalloc((4ul << 20) + 1) == NULL);
	CHECK(kmalloc(~0ul) == NULL);
}

KTEST(2, heap_zero_and_realloc)
{
	uint8_t *p = kzalloc(300);
	int sum = 0;

	for (int i = 0; i < 300; i++)
		sum |= p[i];
	CHECK_EQ(sum, 0);
	for (int i = 0; i < 300; i++)
		p[i] = (uint8_t)i;
	p = krealloc(p, 5000);
	CHECK_EQ(p[299], 299 & 0xff);
	p = krealloc(p, 10);
	CHECK_EQ(p[9], 9);
	kfree(p);
	p = krealloc(NULL, 10);
	CHECK(p);
	kfree(p);
}

/* Objects of all sizes alive at once, each filled with its own byte: none overlaps another. */
KTEST(2, heap_random)
{
	static struct { uint8_t *p; size_t n; uint8_t tag; } held[256];
	uint64_t seed = 0x9e3779b97f4a7c15ul, bad = 0;

	for (int i = 0; i < 40000; i++) {
		uint64_t r = random_next(&seed);
		unsigned k = r % 256;

		if (held[k].p) {
			for (size_t j = 0; j < held[k].n; j += 1 + held[k].n / 8)
				bad += held[k].p[j] != held[k].tag;
			kfree(held[k].p);
			held[k].p = NULL;
			continue;
		}
		held[k].n = 1 + (r >> 8) % (r >> 20 & 7 ? 300 : 6000);
		held[k].tag = (uint8_t)(r >> 32);
		if ((held[k].p = kmalloc(held[k].n)))
			memset(held[k].p, held[k].tag, held[k].n);
	}
	for (int k = 0; k < 256; k++)
		kfree(held[k].p);
	memset(held, 0, sizeof held);
	CHECK_EQ(bad, 0);
}

KTEST(2, heap_counts_used)
{
	size_t before = kheap_used();
	void *p = kmalloc(100);

	CHECK_EQ(kheap_used(), before + 128);
	kfree(p);
	CHECK_EQ(kheap_used(), before);
	kheap_drain();
	CHECK_EQ(kheap_used(), before);
}

/* These end the machine, each with its own message. */
KTEST_MANUAL(2, heap_double_free)
{
	void *p = kmalloc(64);

	kfree(p);
	kfree(p);
}

KTEST_MANUAL(2, page_double_free)
{
	struct page *p = page_alloc(PG_KERNEL);

	page_unref(p);
	page_unref(p);
}

KTEST_MANUAL(2, write_after_free)
{
	uint64_t *p = kmalloc(64);

	kfree(p);
	p[1] = 1;
	kmalloc(64);
}
