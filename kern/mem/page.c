/* page.c - physical pages: a buddy allocator behind per-CPU magazines.                       (lab 2)
 *
 * Idea.       One struct page per frame, in an array. Free memory is cut into blocks of 2^order pages,
 *             aligned to their size, on a list per order. A block's buddy differs from it in one address bit:
 *
 *                 order 2:  |  0 1 2 3  |  4 5 6 7  |       buddy(0) = 4: two free buddies merge into order 3
 *
 *             Single pages, nearly all that is ever asked for, come from a magazine of the CPU that asks:
 *             no lock, a handful of instructions. A magazine is refilled from, and spilled to, the lists
 *             by the half.
 * Interface.  page_alloc*, page_ref, page_unref; page <-> physical <-> virtual address.
 * Invariants. I1 ref == 0 iff the page is in a free block or a magazine (or was never RAM).
 *             I2 kind == PG_FREE iff the page is the first of a block on free[order].
 *             I3 a block on a list is aligned to its size; its buddy of that order is not on the same list.
 *             I4 only RAM that nothing else claims (image, archive, firmware) is ever on a list: ram.c.
 * Locks.      zone_lock guards the lists. Magazines: own CPU with interrupts off.
 */
#include "kern/mem/page.h"
#include "kern/mem/ram.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "lib/kern/string.h"

#define NORDER (PAGE_MAX_ORDER + 1)
#define MAGAZINE 63                   /* makes struct magazine a power of two */
#define LOW_MEM (1ul << 20)           /* real-mode memory: BIOS data, EBDA, VGA, PAGE_TRAMPOLINE */
#define JUNK_ALLOC 0xa5a5a5a5a5a5a5a5ul
#define JUNK_FREE  0xdfdfdfdfdfdfdfdful

_Static_assert(sizeof(struct page) == 64, "index by shift");

struct magazine {
	uint64_t n;                /* [c] */
	struct page *page[MAGAZINE];
};

struct page *page_array;                  /* [I] */
static uint64_t npages;                   /* [I] frames the array covers */
static uint64_t total;                    /* [I] frames ever put on the lists */
static struct magazine magazines[NCPU];
bool mem_junk;
const struct mem_watch *mem_watcher;

static struct spinlock zone_lock = SPINLOCK("page zone", RANK(2, 0));
static struct list free_list[NORDER];     /* zone_lock */
static uint64_t nfree;                    /* zone_lock: pages on the lists */

/* ---- addresses ---- */

struct page *
page_of_phys(uint64_t pa)
{
	uint64_t i = pa >> PAGE_SHIFT;

	return i < npages && page_array[i].kind != PG_NONE ? &page_array[i] : NULL;
}

/* ---- contents ---- */

static inline void
fill(void *va, uint64_t pattern)
{
	uint64_t n = PAGE_SIZE / 8;

	asm volatile("rep stosq" : "+D"(va), "+c"(n) : "a"(pattern) : "memory");
}

void
page_zero(struct page *p)
{
	fill(page_virt(p), 0);
}

void
page_copy(struct page *dst, const struct page *src)
{
	void *d = page_virt(dst), *s = page_virt(src);
	uint64_t n = PAGE_SIZE / 8;

	asm volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) :: "memory");
}

static void
junk_fill(struct page *p, uint64_t pattern)
{
	for (uint64_t i = 0; i < 1ul << p->order; i++)
		fill(page_virt(p + i), pattern);
}

static __attribute__((noinline)) void
block_born(struct page *p)
{
	junk_fill(p, JUNK_ALLOC);
	if (mem_watcher)
		mem_watcher->pages_born(p);
}

static __attribute__((noinline)) void
block_died(struct page *p)
{
	junk_fill(p, JUNK_FREE);
	if (mem_watcher)
		mem_watcher->pages_died(p);
}

void
mem_watch_register(const struct mem_watch *watch)
{
	mem_watcher = watch;
	mem_junk = true;
}

/* ---- the buddy lists (all: zone_lock held) ---- */

static void
block_push(struct page *p, int order)
{
	p->order = order;
	p->kind = PG_FREE;
	list_push_front(&free_list[order], &p->link);
	nfree += 1ul << order;
}

static void
block_take(struct page *p)
{
	list_remove(&p->link);
	p->kind = PG_NONE;
	nfree -= 1ul << p->order;
}

/* Take a block of this order, splitting a larger one if need be. NULL: there is none. */
static struct page *
block_alloc(int order)
{
	struct page *p;
	int o = order;

	while (o < NORDER && list_empty(&free_list[o]))
		o++;
	if (o == NORDER)
		return NULL;
	p = list_first(&free_list[o], struct page, link);
	block_take(p);
	while (o > order) {
		o--;
		block_push(p + (1ul << o), o);       /* keep the lower half, free the upper */
	}
	p->order = order;
	return p;
}

/* Put a block back, merged with its buddy as often as possible (I3). */
static void
block_free(struct page *p, int order)
{
	for (; order < PAGE_MAX_ORDER; order++) {
		uint64_t i = (uint64_t)(p - page_array) ^ (1ul << order);

		if (i >= npages || page_array[i].kind != PG_FREE || page_array[i].order != order)
			break;
		block_take(&page_array[i]);
		p->kind = PG_NONE;
		if (&page_array[i] < p)
			p = &page_array[i];
	}
	block_push(p, order);
}

/* ---- magazines (all: interrupts off); n < MAGAZINE whenever they are on ---- */

static __attribute__((noinline)) bool
magazine_refill(struct magazine *m)
{
	struct page *p;

	spin_lock(&zone_lock);
	while (m->n < MAGAZINE / 2 && (p = block_alloc(0))) {
		p->kind = PG_CACHED;
		m->page[m->n++] = p;
	}
	spin_unlock(&zone_lock);
	return m->n > 0;
}

static __attribute__((noinline)) void
magazine_spill(struct magazine *m, uint64_t keep)
{
	spin_lock(&zone_lock);
	while (m->n > keep)
		block_free(m->page[--m->n], 0);
	spin_unlock(&zone_lock);
}

/* ---- memory pressure ---- */

#define NRECLAIM 4
static uint64_t (*reclaimers[NRECLAIM])(uint64_t want);
static int nreclaim;
static struct thread *reclaiming[NCPU];       /* [a] threads inside a reclaimer: no recursion */

void
reclaim_register(uint64_t (*fn)(uint64_t want))
{
	assert(nreclaim < NRECLAIM);
	reclaimers[nreclaim++] = fn;
}

/* Claim a place among the reclaiming threads. NULL: this thread has one already, or all are taken. */
static struct thread **
reclaim_enter(struct thread *t)
{
	struct thread *none;

	for (int i = 0; i < NCPU; i++)
		if (__atomic_load_n(&reclaiming[i], __ATOMIC_RELAXED) == t)
			return NULL;
	for (int i = 0; i < NCPU; i++) {
		none = NULL;
		if (__atomic_compare_exchange_n(&reclaiming[i], &none, t, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &reclaiming[i];
	}
	return NULL;
}

/* Ask the upper layers for memory, if the caller is in a state to wait for it. Returns: pages freed. */
static uint64_t
reclaim(uint64_t want)
{
	struct thread *t = this_cpu->thread, **place;
	uint64_t got = 0;

	if (nreclaim == 0 || !t || this_cpu->nheld > 0 || this_cpu->in_irq > 0 || !irq_enabled())
		return 0;
	if (!(place = reclaim_enter(t)))
		return 0;
	for (int i = 0; i < nreclaim && got < want; i++)
		got += reclaimers[i](want - got);
	__atomic_store_n(place, NULL, __ATOMIC_RELEASE);
	return got;
}

/* ---- what everybody calls ---- */

static inline struct page *
page_give(struct page *p, enum page_kind kind)
{
	p->kind = kind;
	p->flags = 0;
	__atomic_store_n(&p->ref, 1, __ATOMIC_RELAXED);
	if (__builtin_expect(mem_junk, 0))
		block_born(p);
	return p;
}

/* One try at a block, magazines included. */
static struct page *
order_try(int order)
{
	struct page *p;
	bool on = irq_save();

	spin_lock(&zone_lock);
	p = block_alloc(order);
	spin_unlock(&zone_lock);
	if (!p) {                                     /* perhaps what we hoard is what is missing */
		magazine_spill(&magazines[this_cpu->id], 0);
		spin_lock(&zone_lock);
		p = block_alloc(order);
		spin_unlock(&zone_lock);
	}
	irq_restore(on);
	return p;
}

/* 2^order pages in a row, aligned to their size; contents junk; ref 1 on the first, which names the block.
 * Returns: NULL when there is none, even after asking the reclaimers. May sleep there, if no spinlock is
 *          held. */
struct page *
page_alloc_order(int order, enum page_kind kind)
{
	struct page *p;

	if (order < 0 || order > PAGE_MAX_ORDER)
		return NULL;
	p = order_try(order);
	for (int i = 0; !p && i < 4 && reclaim((1ul << order) + 32) > 0; i++)
		p = order_try(order);
	return p ? page_give(p, kind) : NULL;
}

/* The magazine is empty. */
static __attribute__((noinline)) struct page *
page_alloc_slow(enum page_kind kind)
{
	bool on = irq_save();
	struct magazine *m = &magazines[this_cpu->id];
	struct page *p = magazine_refill(m) ? m->page[--m->n] : NULL;

	irq_restore(on);
	return p ? page_give(p, kind) : page_alloc_order(0, kind);
}

/* One page; contents junk; ref 1. Returns: NULL when there is none. May sleep as page_alloc_order. */
struct page *
page_alloc(enum page_kind kind)
{
	bool on = irq_save();
	struct magazine *m = &magazines[this_cpu->id];
	struct page *p;

	if (__builtin_expect(m->n == 0, 0)) {
		irq_restore(on);
		return page_alloc_slow(kind);
	}
	p = m->page[--m->n];
	irq_restore(on);
	return page_give(p, kind);
}

struct page *
page_alloc_zero(enum page_kind kind)
{
	struct page *p = page_alloc(kind);

	if (p)
		page_zero(p);
	return p;
}

/* The magazine is full. Requires: interrupts off; turns them on if `on`. */
static __attribute__((noinline)) void
magazine_full(struct magazine *m, bool on)
{
	magazine_spill(m, MAGAZINE / 2);
	irq_restore(on);
}

static inline void
magazine_put(struct page *p)
{
	bool on = irq_save();
	struct magazine *m = &magazines[this_cpu->id];

	p->kind = PG_CACHED;
	m->page[m->n++] = p;
	if (__builtin_expect(m->n == MAGAZINE, 0))
		magazine_full(m, on);
	else
		irq_restore(on);
}

/* A block, or junk is wanted. */
static __attribute__((noinline)) void
page_free_slow(struct page *p)
{
	if (mem_junk)
		block_died(p);
	if (p->order == 0) {
		magazine_put(p);
		return;
	}
	spin_lock(&zone_lock);
	block_free(p, p->order);
	spin_unlock(&zone_lock);
}

static __attribute__((noinline)) void
page_underflow(struct page *p)
{
	panic("page %#lx (kind %d): given back more often than taken", page_phys(p), p->kind);
}

/* Drop a reference. Returns: was it the last? */
static inline bool
ref_drop(struct page *p)
{
	uint32_t ref = __atomic_load_n(&p->ref, __ATOMIC_ACQUIRE);

	if (ref == 1) {
		__atomic_store_n(&p->ref, 0, __ATOMIC_RELAXED);        /* ours is the only one: nobody can add another */
		return true;
	}
	if (__builtin_expect(ref == 0, 0))
		page_underflow(p);
	return __atomic_sub_fetch(&p->ref, 1, __ATOMIC_ACQ_REL) == 0;
}

static inline void
page_free(struct page *p)
{
	if (__builtin_expect(p->order > 0 || mem_junk, 0))
		page_free_slow(p);
	else
		magazine_put(p);
}

/* Give up one reference; the last one frees. Requires: the caller has one. */
void
page_unref(struct page *p)
{
	if (ref_drop(p))
		page_free(p);
}

/* Give up one reference to each of n pages. */
void
page_unref_many(struct page **page, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (ref_drop(page[i]))
			page_free(page[i]);
}

uint64_t
page_count_free(void)
{
	uint64_t n = __atomic_load_n(&nfree, __ATOMIC_RELAXED);

	for (int i = 0; i < NCPU; i++)
		n += __atomic_load_n(&magazines[i].n, __ATOMIC_RELAXED);
	return n;
}

uint64_t
page_frames(void)
{
	return npages;
}

uint64_t
page_count_total(void)
{
	return total;
}

/* ---- at boot ---- */

static struct ram ram;                    /* I4 */

/* Put the frames of a span on the lists, in the largest blocks that are aligned to their size (I3) and fit; frames
 * beyond the array are left out. Counts them in `total`. Requires: zone_lock. */
static void
span_free(struct span s)
{
	uint64_t i = s.lo >> PAGE_SHIFT, end = s.hi >> PAGE_SHIFT;
	int order;

	end = end < npages ? end : npages;
	while (i < end) {
		order = i ? __builtin_ctzl(i) : PAGE_MAX_ORDER;
		order = order < PAGE_MAX_ORDER ? order : PAGE_MAX_ORDER;
		while (i + (1ul << order) > end)
			order--;
		block_push(&page_array[i], order);
		total += 1ul << order;
		i += 1ul << order;
	}
}

/* Put what is ours in [lo, hi) on the lists. */
static void
zone_add(uint64_t lo, uint64_t hi)
{
	uint64_t at = 0;
	struct span s;
	int k = 0;

	spin_lock(&zone_lock);
	while (ram_next(&ram, &k, &at, hi, &s)) {
		s.lo = s.lo > lo ? s.lo : lo;
		if (s.lo < s.hi)
			span_free(s);
	}
	spin_unlock(&zone_lock);
}

/* A home for the page array: the first free span that is long enough. */
static uint64_t
array_place(uint64_t size)
{
	uint64_t at = 0;
	struct span s;
	int k = 0;

	while (ram_next(&ram, &k, &at, BOOT_MAPPED, &s))
		if (s.hi - s.lo >= size)
			return s.lo;
	panic("no room for the page array: %lu KiB wanted, %d memory ranges", size >> 10, bootinfo.nmem);
}

static void
page_init(void)
{
	extern char kernel_start[], kernel_end[];     /* kernel.lds */
	uint64_t size, at;

	mem_junk = cmdline_has("junk", "1") || cmdline_get("ktest", NULL, 0) >= 0;
	for (int o = 0; o < NORDER; o++)
		list_init(&free_list[o]);
	ram_init(&ram, &bootinfo);
	ram_hole(&ram, 0, LOW_MEM);
	ram_hole(&ram, (uint64_t)kernel_start - KERNBASE, (uint64_t)kernel_end - KERNBASE);
	ram_hole(&ram, bootinfo.archive_phys, bootinfo.archive_phys + bootinfo.archive_size);
	npages = ram_top(&ram) >> PAGE_SHIFT;
	size = PAGE_UP(npages * sizeof(struct page));
	at = array_place(size);
	page_array = P2V(at);
	for (uint64_t i = 0; i < size; i += PAGE_SIZE)
		fill((char *)page_array + i, 0);
	ram_hole(&ram, at, at + size);
	zone_add(0, BOOT_MAPPED);
}

void
page_add_high(void)
{
	zone_add(BOOT_MAPPED, ~0ul);
	kprintf("memory: %lu MiB free of %lu MiB\n", page_count_free() >> 8, npages >> 8);
}

INITCALL(2, page_init);
