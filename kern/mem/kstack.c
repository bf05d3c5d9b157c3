/* kstack.c - kernel stacks, each above a guard.                                               (lab 2)
 *
 * Idea.       The stack area is an array of slots; the lower half of each is never mapped, so that running
 *             off a stack is a fault and not somebody else's data:
 *
 *                 | guard 0 | stack 0 | guard 1 | stack 1 | ...
 *
 *             A freed stack stays mapped in the CPU's cache. Beyond that its pages go back at once, but
 *             other CPUs may remember where they were; so the slot rests (STALE) until the slots run out,
 *             and then one flush of all TLBs makes all stale slots free again.
 * Invariants. I1 nothing is mapped in a slot that is not LIVE.  I2 no TLB knows a mapping in a FREE slot.
 * Locks.      slot_lock: the slots; held across the flush, so that a CPU that finds no free slot either flushes or waits
 *             for the one that does. Caches: own CPU with interrupts off.
 */
#include "kern/mem/pagetable.h"
#include "kern/boot/spinlock.h"

#define KSTACK_BASE KDYN_BASE
#define KSTACK_SLOT (2 * KSTACK_SIZE)
#define NKSTACK 16384
#define KSTACK_CACHE 8

enum slot_state { SLOT_FREE, SLOT_LIVE, SLOT_STALE };
static struct spinlock slot_lock = SPINLOCK("kernel stacks", RANK(2, 15));
static uint8_t slots[NKSTACK];                       /* slot_lock: enum slot_state */
static unsigned slot_next;                           /* slot_lock: where to look first */
static unsigned nstale;                              /* slot_lock */
static struct kstack_cache {
	uint32_t n;
	void *top[KSTACK_CACHE];
} kstack_caches[NCPU];

/* Requires: slot_lock. Returns: -1 when none is free between slot_next and the end. */
static int
slot_find(void)
{
	for (unsigned i = slot_next; i < NKSTACK; i++)
		if (slots[i] == SLOT_FREE) {
			slots[i] = SLOT_LIVE;
			slot_next = i + 1;
			return (int)i;
		}
	return -1;
}

/* Make all stale slots free (I2). Requires: slot_lock. */
static void
slots_flush(void)
{
	tlb_flush_all(&kernel_pt);           /* CPUs that spin for slot_lock answer meanwhile */
	for (unsigned i = 0; i < NKSTACK; i++)
		if (slots[i] == SLOT_STALE)
			slots[i] = SLOT_FREE;
	nstale = slot_next = 0;
}

static int
slot_alloc(void)
{
	int i;

	spin_lock(&slot_lock);
	if ((i = slot_find()) < 0 && nstale > 0) {
		slots_flush();
		i = slot_find();
	}
	spin_unlock(&slot_lock);
	return i;
}

/* Unmap and free what is mapped of slot i's stack; the slot becomes stale. */
static void
slot_free(unsigned i)
{
	uint64_t va = KSTACK_BASE + i * KSTACK_SLOT + KSTACK_SIZE;
	pte_t e;

	for (uint64_t at = 0; at < KSTACK_SIZE; at += PAGE_SIZE)
		if ((e = kunmap_page(va + at)) & PTE_P)
			page_unref(page_of_phys(e & PTE_ADDR));
	spin_lock(&slot_lock);
	slots[i] = SLOT_STALE;
	nstale++;
	spin_unlock(&slot_lock);
}

static void *
kstack_new(void)
{
	int i = slot_alloc();
	uint64_t va = KSTACK_BASE + (uint64_t)i * KSTACK_SLOT + KSTACK_SIZE;
	struct page *p;

	if (i < 0)
		return NULL;
	for (uint64_t at = 0; at < KSTACK_SIZE; at += PAGE_SIZE) {
		p = page_alloc(PG_STACK);
		if (p && kmap_page(va + at, page_phys(p), PTE_W | PTE_NX | PTE_G) == 0)
			continue;
		if (p)
			page_unref(p);
		slot_free((unsigned)i);
		return NULL;
	}
	return (void *)(va + KSTACK_SIZE);
}

void *
kstack_alloc(void)
{
	bool on = irq_save();
	struct kstack_cache *c = &kstack_caches[this_cpu->id];
	void *top = c->n > 0 ? c->top[--c->n] : NULL;

	irq_restore(on);
	return top ? top : kstack_new();
}

/* Requires: nobody runs on it. */
void
kstack_free(void *top)
{
	bool on = irq_save();
	struct kstack_cache *c = &kstack_caches[this_cpu->id];
	bool kept = c->n < KSTACK_CACHE;

	if (kept)
		c->top[c->n++] = top;
	irq_restore(on);
	if (!kept)
		slot_free((unsigned)(((uint64_t)top - 1 - KSTACK_BASE) / KSTACK_SLOT));
}

bool
kstack_guard(uint64_t va)
{
	return va >= KSTACK_BASE && va < KSTACK_BASE + NKSTACK * KSTACK_SLOT
		&& (va - KSTACK_BASE) % KSTACK_SLOT < KSTACK_SIZE;
}

uint64_t
kstack_cached_pages(void)
{
	uint64_t n = 0;

	for (int i = 0; i < NCPU; i++)
		n += kstack_caches[i].n * (KSTACK_SIZE / PAGE_SIZE);
	return n;
}
