/* leaf.c - work on many page-table entries of one mapping at once.                            (lab 5)
 *
 * Idea.       munmap, mprotect, fork and mremap each walk the leaf entries of a range. pt_next finds the next leaf that exists, so
 *             empty regions cost a step per table, not per page.
 * Interface.  leaf_zap, leaf_protect, leaf_copy, leaf_move; leaf_flags says what an entry of a mapping looks like.
 * Invariants. I1 an entry is 0, or holds one reference on its page. A nonzero entry without PTE_P is a page the program may not
 *                touch at the moment (PROT_NONE).
 *             I2 W^X: no entry has PTE_W without PTE_NX. A mapping that allows both gets one at a time; faults switch.
 *             I3 a page is freed only after no TLB can hold an entry for it.
 * Locks.      as->lock held by the caller; entries of mappings of an object also under object->lock, taken here for a run
 *             at a time: interrupts are off only so long, and a truncate that comes between two runs of a fork finds the
 *             child's mapping in the object's list, too.
 */
#include "kern/vm/vm.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"

#define BATCH 128
#define FEW 8                /* pages that are flushed one by one: more cost as much as everything */

pte_t
leaf_flags(const struct mapping *m, bool write)
{
	if (!(m->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)))
		return PTE_SW2 | PTE_NX;           /* not present: I1 */
	pte_t f = PTE_P | PTE_U | PTE_A;
	if (write)
		return f | PTE_W | PTE_D | PTE_NX; /* I2 */
	return m->prot & PROT_EXEC ? f : f | PTE_NX;
}

static void
object_lock(struct mapping *m)
{
	if (m->object)
		spin_lock(&m->object->lock);
}

static void
object_unlock(struct mapping *m)
{
	if (m->object)
		spin_unlock(&m->object->lock);
}

/* Take at most BATCH pages out of [*at, hi); *at moves on, to hi when nothing is left. Returns how many, and in *first the
 * address of the first. */
static unsigned
zap_some(struct aspace *as, struct mapping *m, uint64_t *at, uint64_t hi, struct page **page, uint64_t *first)
{
	unsigned n, got = 0;
	pte_t *run, e;

	object_lock(m);
	while (got < BATCH && (run = pt_next(&as->pt, at, hi, &n))) {
		if (!got)
			*first = *at;
		n = n < BATCH - got ? n : BATCH - got;
		*at += n * PAGE_SIZE;
		for (pte_t *p = run; p < run + n; p++) {
			if (!(e = *p))
				continue;
			*p = 0;
			page[got++] = pte_page(e);
		}
		pt_untouch(run, n);
	}
	object_unlock(m);
	return got;
}

/* Remove the entries of m in [lo, hi) and drop their pages. flush false: the tree is loaded nowhere and never will be. */
void
leaf_zap(struct aspace *as, struct mapping *m, uint64_t lo, uint64_t hi, bool flush)
{
	struct page *page[BATCH];
	uint64_t first;
	unsigned n;

	while (lo < hi && m->touched && (n = zap_some(as, m, &lo, hi, page, &first))) {
		if (flush && lo - first > FEW * PAGE_SIZE)
			tlb_flush_all(&as->pt);
		else if (flush)
			for (; first < lo; first += PAGE_SIZE)
				tlb_flush_page(&as->pt, first);
		page_unref_many(page, n);
		__atomic_sub_fetch(&as->rss, n, __ATOMIC_RELAXED);
	}
}

/* Make the entries of m in [lo, hi) grant no more than m->prot does now; faults widen them again one by one. */
void
leaf_protect(struct aspace *as, struct mapping *m, uint64_t lo, uint64_t hi)
{
	bool writable = m->prot & PROT_WRITE && !(m->prot & PROT_EXEC), changed = false;
	unsigned n;

	for (pte_t *run; m->touched && (run = pt_next(&as->pt, &lo, hi, &n)); lo += n * PAGE_SIZE) {
		object_lock(m);
		for (unsigned i = 0; i < n; i++) {
			if (!run[i])
				continue;
			pte_t want = (run[i] & PTE_ADDR) | leaf_flags(m, run[i] & PTE_W && writable);
			changed |= want != run[i];
			run[i] = want;
		}
		object_unlock(m);
	}
	if (changed)
		tlb_flush_all(&as->pt);
}

/* Copy n entries, without the bits `drop`, which the originals lose, too. Returns: how many pages there were. */
static unsigned
copy_run(pte_t *to, pte_t *from, unsigned n, pte_t drop)
{
	pte_t *const end = from + n;
	unsigned copied = 0;

	for (; from < end; from++, to++) {
		pte_t e = *from;

		if (!e)
			continue;
		if (e & drop)
			*from = e &= ~drop;
		*to = e;
		page_ref(pte_page(e));
		copied++;
	}
	return copied;
}

/* Fork: give dst the pages of m that src has. Private pages lose their write bit in both (whoever writes first copies).
 * Requires: src's lock held, dst unused yet. The caller flushes src's TLB. Returns 0 or -ENOMEM. */
int
leaf_copy(struct aspace *dst, struct aspace *src, struct mapping *m)
{
	const pte_t drop = mapping_shared(m) ? 0 : PTE_W;
	uint64_t at = m->lo, copied = 0;
	unsigned n;
	int err = 0;

	for (pte_t *from; m->touched && (from = pt_next(&src->pt, &at, m->hi, &n)); at += n * PAGE_SIZE) {
		pte_t *to = pt_walk_n(&dst->pt, at, n);

		if (!to) {
			err = -ENOMEM;
			break;
		}
		object_lock(m);
		copied += copy_run(to, from, n, drop);
		object_unlock(m);
	}
	dst->rss += copied;
	return err;
}

/* mremap: move the entries of [from, from+len) to `to`. The tables for `to` exist; m is the mapping of both.
 * Requires as->lock. Flushes. */
void
leaf_move(struct aspace *as, struct mapping *m, uint64_t from, uint64_t to, uint64_t len)
{
	uint64_t at = from;
	unsigned n;

	object_lock(m);
	for (pte_t *run; (run = pt_next(&as->pt, &at, from + len, &n)); at += n * PAGE_SIZE) {
		for (unsigned i = 0; i < n; i++) {
			if (!run[i])
				continue;
			*pt_walk(&as->pt, at + i * PAGE_SIZE - from + to, true) = run[i];
			run[i] = 0;
		}
	}
	object_unlock(m);
	tlb_flush_all(&as->pt);
}
