/* object.c - things whose pages can be mapped, seen from the page tables' side.               (lab 5)
 *
 * Idea.       A file's pages may be mapped in many address spaces. When the file shrinks, or before its pages are written to
 *             disk, those entries must go, or lose their write bit. Each object keeps a list of the mappings that
 *             use it; the entry of page `index` in a mapping is at m->lo + (index - m->index) pages.
 * Interface.  map_object_init, map_object_zap, map_object_clean.
 * Invariants. I1 every mapping with m->object == o is on o->mappings, and only those.
 *             I2 seq is odd exactly while a zap is under way; a fault installs a page only if seq is even and has not moved
 *                since before it asked for the page, so no page that was taken away comes back.
 * Locks.      o->lock. Leaf entries of mappings of an object change only under it (the owner holds as->lock too).
 */
#include "kern/vm/vm.h"

#define BATCH 64

void
map_object_init(struct map_object *o, const struct map_ops *ops)
{
	o->ops = ops;
	spin_init(&o->lock, "map_object", RANK(5, 20));
	list_init(&o->mappings);
	o->seq = 0;
}

/* One round of taking entries out: pages whose references wait for the TLB flush. */
struct round {
	int n;
	struct page *page[BATCH];
	struct aspace *as;         /* all entries were in this address space, referenced; NULL: it is being torn down, loaded nowhere */
};

/* Collect up to BATCH entries of m in [at, end): clears them, or (clean) only takes write and dirty bits away.
 * Requires o->lock. */
static void
round_collect(struct round *r, struct mapping *m, uint64_t at, uint64_t end, bool clean)
{
	const pte_t drop = clean ? PTE_W | PTE_D : ~0ul;
	unsigned n;

	for (pte_t *run; (run = pt_next(&m->as->pt, &at, end, &n)); at += n * PAGE_SIZE) {
		for (unsigned i = 0; i < n; i++) {
			pte_t old = run[i];

			if (!(old & drop))
				continue;
			if (r->n == BATCH)
				return;
			run[i] = old & ~drop;
			r->page[r->n++] = pte_page(old);
		}
	}
}

/* Flush what the round changed, then (zap) drop the entries' references. No lock held. */
static void
round_finish(struct round *r, bool clean)
{
	if (r->as)
		tlb_flush_all(&r->as->pt);
	for (int i = 0; !clean && i < r->n; i++)
		page_unref(r->page[i]);
	if (r->as && !clean)
		__atomic_sub_fetch(&r->as->rss, r->n, __ATOMIC_RELAXED);
	if (r->as)
		aspace_put(r->as);
}

/* A reference, unless the last one is gone already: then the address space is being torn down, entries and all. */
static bool
aspace_tryget(struct aspace *as)
{
	uint32_t n = __atomic_load_n(&as->refs, __ATOMIC_RELAXED);

	while (n)
		if (__atomic_compare_exchange_n(&as->refs, &n, n + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* Work on the first mapping that still has entries in [first, last]: one round. Returns false when no mapping had any.
 * Starting over at the list's head after every round keeps it right while mappings come and go. */
static bool
object_round(struct map_object *o, uint64_t first, uint64_t last, bool clean)
{
	struct round r = { .n = 0 };

	spin_lock(&o->lock);
	list_for_each(m, &o->mappings, struct mapping, obj_link) {
		uint64_t npages = (m->hi - m->lo) / PAGE_SIZE;

		if (m->index > last || m->index + npages <= first)
			continue;
		uint64_t lo = first > m->index ? m->lo + (first - m->index) * PAGE_SIZE : m->lo;
		uint64_t hi = last - m->index < npages ? m->lo + (last - m->index + 1) * PAGE_SIZE : m->hi;

		round_collect(&r, m, lo, hi, clean);
		if (r.n) {
			r.as = aspace_tryget(m->as) ? m->as : NULL;
			break;
		}
	}
	spin_unlock(&o->lock);
	if (r.n)
		round_finish(&r, clean);
	return r.n;
}

/* Take pages first..last of the object out of every page table.
 *
 * Requires: no spinlock held; the caller has already made get_page refuse these pages or give new ones.
 * Does:     - afterwards no entry refers to them, on any CPU; private copies go as well (as Linux does on truncate).
 * May sleep (the last user of an address space may end here).
 */
void
map_object_zap(struct map_object *o, uint64_t first, uint64_t last)
{
	spin_lock(&o->lock);
	bool any = !list_empty(&o->mappings);
	o->seq += 2;               /* I2: faults under way start over, mappings or not */
	spin_unlock(&o->lock);
	if (!any)
		return;
	while (object_round(o, first, last, false))
		;
}

/* Write-protect pages first..last in every page table. The next write through a shared mapping faults, and get_page(write) hears of it. Same requirements as zap. */
void
map_object_clean(struct map_object *o, uint64_t first, uint64_t last)
{
	if (!map_object_mapped(o))
		return;
	while (object_round(o, first, last, true))
		;
}
