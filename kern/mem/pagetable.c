/* pagetable.c - page table trees, and the kernel's own half of them.                         (lab 2)
 *
 * Idea.       An address is four 9-bit indices and an offset; each index picks an entry in a page of 512:
 *
 *                 47     39 38     30 29     21 20     12 11       0
 *                 [ PML4 ] [ PDPT ] [  PD  ] [  PT  ] [ offset ]         SDM vol. 3, 4.5
 *
 *             The upper half of every tree is the same: it shares the kernel's PDPTs (kmap.c fills them).
 * Interface.  pt_walk finds an entry, pt_each and pt_next visit many; tlb_flush_*.
 * Invariants. I1 the kernel's PML4 entries never change after pt_seal_kernel, so trees may copy them.
 *             I2 no mapping is writable and executable.
 *             I3 in a user-half table the entries of groups (of 8) that are not in its struct page's `used`
 *             are zero: cheap to copy and to free.
 *             I4 pages in the table caches are all zero.
 * Locks.      A tree's owner serialises it. Caches: own CPU with interrupts off.
 */
#include "kern/mem/pagetable.h"
#include "kern/boot/print.h"
#include "lib/abi/errno.h"

#define MSR_EFER 0xc0000080
#define EFER_NXE (1ul << 11)
#define CR0_WP (1ul << 16)
#define CR4_PGE (1ul << 7)

struct pagetable kernel_pt;                          /* [I] after pt_init_kernel */
static pte_t kernel_root[512] __attribute__((aligned(4096)));
static uint16_t kslot[16];                           /* [I] PML4 entries in use by the kernel (I1) */
static int nkslot;
static uint64_t ntables;                             /* [a] table pages below kernel_root */
static const struct tlb_ops *tlb;

static inline unsigned
index_of(uint64_t va, int level)
{
	return va >> (PAGE_SHIFT + 9 * level) & 511;
}

/* ---- table pages ---- */

#define TABLE_CACHE 40                /* the tables of 64 MiB and a few more */
static struct table_cache {
	uint32_t n;
	struct page *page[TABLE_CACHE];
} table_caches[NCPU];

#define USED(p) ((p)->priv[0])        /* I3: bit i: entries 8i to 8i+7 may be in use */
#define GROUP 8

/* A zeroed table page. NULL: out of memory. */
static struct page *
table_alloc(void)
{
	bool on = irq_save();
	struct table_cache *c = &table_caches[this_cpu->id];
	struct page *p = c->n > 0 ? c->page[--c->n] : NULL;

	irq_restore(on);
	if (!p && !(p = page_alloc_zero(PG_TABLE)))
		return NULL;
	USED(p) = 0;
	return p;
}

/* Give a table back, whose entries are all zero (I4). */
static void
table_free(struct page *p)
{
	struct table_cache *c;
	bool on = irq_save();

	c = &table_caches[this_cpu->id];
	if (c->n < TABLE_CACHE) {
		c->page[c->n++] = p;
		p = NULL;
	}
	irq_restore(on);
	if (p)
		page_unref(p);
}

static inline void
table_touch(pte_t *table, unsigned i, unsigned n)
{
	unsigned first = i / GROUP, last = (i + n - 1) / GROUP;

	USED(page_of_virt(table)) |= ~0ul >> (63 - last) & ~0ul << first;
}

/* Hang a new table under the empty entry e of `table`. Returns: the new entry, 0 when out of memory. */
static __attribute__((noinline)) pte_t
table_hang(pte_t *table, pte_t *e, bool user)
{
	struct page *p = table_alloc();

	if (!p)
		return 0;
	if (user)
		table_touch(table, (unsigned)(e - table), 1);
	else
		__atomic_fetch_add(&ntables, 1, __ATOMIC_RELAXED);
	return *e = page_phys(p) | PTE_P | PTE_W | (user ? PTE_U : 0);
}

/* ---- walking ---- */

/* The entry for va in the table of `level` (0: leaf of 4 KiB). NULL: a table is missing (and could not be
 * made), or a larger leaf covers va. */
static inline __attribute__((always_inline)) pte_t *
walk(struct pagetable *pt, uint64_t va, int level, bool create)
{
	pte_t *table = P2V(pt->root), *e, v;

#pragma GCC unroll 3
	for (int l = 3; l > level; l--) {
		e = &table[index_of(va, l)];
		v = *e;
		if (__builtin_expect(!(v & PTE_P), 0)) {
			if (!create || !(v = table_hang(table, e, va < USER_END)))
				return NULL;
		} else if (__builtin_expect(v & PTE_PS, 0)) {
			return NULL;
		}
		table = P2V(v & PTE_ADDR);
	}
	return &table[index_of(va, level)];
}

pte_t *
pt_walk_level(struct pagetable *pt, uint64_t va, int level, bool create)
{
	return walk(pt, va, level, create);
}

pte_t *
pt_walk(struct pagetable *pt, uint64_t va, bool create)
{
	pte_t *e = walk(pt, va, 0, create);

	if (e && create)
		table_touch((pte_t *)PAGE_DOWN(e), index_of(va, 0), 1);
	return e;
}

pte_t *
pt_walk_n(struct pagetable *pt, uint64_t va, unsigned n)
{
	pte_t *e = walk(pt, va, 0, true);

	assert_cmp(index_of(va, 0) + n, <=, 512);
	if (e)
		table_touch((pte_t *)PAGE_DOWN(e), index_of(va, 0), n);
	return e;
}

void
pt_untouch(pte_t *e, unsigned n)
{
	unsigned i = (uint64_t)e % PAGE_SIZE / sizeof *e, first = (i + GROUP - 1) / GROUP, end = (i + n) / GROUP;

	if (first < end)
		USED(page_of_virt(e)) &= ~(~0ul >> (64 - end) & ~0ul << first);
}

struct visit {
	uint64_t lo, hi;
	int (*fn)(pte_t *pte, uint64_t va, void *arg);
	void *arg;
};

/* Visit the part of [v->lo, v->hi) that `table`, which maps from `base`, has entries for. */
static int
each(pte_t *table, int level, uint64_t base, const struct visit *v)
{
	struct page *p = page_of_virt(table);
	int shift = PAGE_SHIFT + 9 * level, r = 0;
	uint64_t i = v->lo > base ? (v->lo - base) >> shift : 0;
	uint64_t end = (v->hi - base - 1) >> shift;

	end = end < 511 ? end : 511;
	for (; i <= end && r == 0; i++) {
		if (!(USED(p) >> i / GROUP & 1) || !(table[i] & PTE_P))
			continue;
		if (level == 0)
			r = v->fn(&table[i], base + (i << shift), v->arg);
		else
			r = each(P2V(table[i] & PTE_ADDR), level - 1, base + (i << shift), v);
	}
	return r;
}

int
pt_each(struct pagetable *pt, uint64_t lo, uint64_t hi, int (*fn)(pte_t *pte, uint64_t va, void *arg), void *arg)
{
	struct visit v = { lo, hi < USER_END ? hi : USER_END, fn, arg };

	return v.lo < v.hi ? each(P2V(pt->root), 3, 0, &v) : 0;
}

/* The first run of groups in use at or after *va in the leaf table p, which ends at `end`: moves *va to it, to `end` if
 * there is none. Returns: where it ends. */
static inline uint64_t
run_find(struct page *p, uint64_t *va, uint64_t end)
{
	const uint64_t size = GROUP * PAGE_SIZE;
	uint64_t used = USED(p) >> index_of(*va, 0) / GROUP, free;

	if (!used) {
		*va = end;
		return end;
	}
	if (!(used & 1)) {
		*va = (*va & ~(size - 1)) + __builtin_ctzl(used) * size;
		used >>= __builtin_ctzl(used);
	}
	free = ~used;
	return free ? (*va & ~(size - 1)) + __builtin_ctzl(free) * size : end;
}

pte_t *
pt_next(struct pagetable *pt, uint64_t *va, uint64_t hi, unsigned *n)
{
	hi = hi < USER_END ? hi : USER_END;
	while (*va < hi) {
		pte_t *table = P2V(pt->root);
		int l = 3;

		for (; l > 0 && (table[index_of(*va, l)] & PTE_P); l--)
			table = P2V(table[index_of(*va, l)] & PTE_ADDR);
		/* The table at level l covers up to `end`; with l > 0 the entry for *va is absent: go on behind it.
		 * */
		uint64_t size = PAGE_SIZE << 9 * (l > 0 ? l : 1), end = (*va & ~(size - 1)) + size;

		if (l == 0) {
			end = run_find(page_of_virt(table), va, end);
			end = end < hi ? end : hi;
			if (*va < end) {
				*n = (end - *va) >> PAGE_SHIFT;
				return &table[index_of(*va, 0)];
			}
		}
		*va = end;
	}
	return NULL;
}

/* ---- trees ---- */

int
pt_init(struct pagetable *pt)
{
	struct page *p = table_alloc();
	pte_t *root;

	if (!p)
		return -ENOMEM;
	root = page_virt(p);
	for (int i = 0; i < nkslot; i++)
		root[kslot[i]] = kernel_root[kslot[i]];
	pt->root = page_phys(p);
	return 0;
}

/* Free a table and all below it. */
static void
tables_free(pte_t *table, int level)
{
	struct page *p = page_of_virt(table);

	for (uint64_t used = USED(p); used; used &= used - 1) {
		pte_t *e = table + __builtin_ctzl(used) * GROUP;

		for (int i = 0; i < GROUP; i++) {
			if (level > 0 && e[i])
				tables_free(P2V(e[i] & PTE_ADDR), level - 1);
			e[i] = 0;
		}
	}
	table_free(p);
}

/* Requires: loaded on no CPU; the leaf pages' references have been dropped by the owner. */
void
pt_destroy(struct pagetable *pt)
{
	pte_t *root = P2V(pt->root);

	assert(pt != &kernel_pt);
	for (int i = 0; i < nkslot; i++)
		root[kslot[i]] = 0;
	tables_free(root, 3);
	pt->root = 0;
}

/* Map one page. Requires: nothing is mapped there; not writable and executable at once (I2).
 * Returns: 0 or -ENOMEM. */
int
pt_map(struct pagetable *pt, uint64_t va, uint64_t pa, pte_t flags)
{
	pte_t *e;

	assert(!(flags & PTE_W) || (flags & PTE_NX));
	if (!(e = pt_walk(pt, va, true)))
		return -ENOMEM;
	assert(!(*e & PTE_P));
	*e = pa | flags | PTE_P;
	return 0;
}

/* Clear the entry for va; tables stay. Returns: the old entry, 0 if there was none. The caller flushes. */
pte_t
pt_unmap(struct pagetable *pt, uint64_t va)
{
	pte_t *e = pt_walk(pt, va, false), old = e ? *e : 0;

	if (e)
		*e = 0;
	return old;
}

void
pt_load(const struct pagetable *pt)
{
	this_cpu->pt_root = pt->root;            /* first: lab 13 asks who may have it loaded */
	write_cr3(pt->root);
}

/* ---- TLB ---- */

void
tlb_register(const struct tlb_ops *ops)
{
	tlb = ops;
}

void
tlb_flush_page(struct pagetable *pt, uint64_t va)
{
	if (va >= USER_END || (read_cr3() & PTE_ADDR) == pt->root)
		invlpg(va);
	if (tlb)
		tlb->flush(pt, va, false);
}

void
tlb_flush_all(struct pagetable *pt)
{
	bool on = irq_save();

	if (pt == &kernel_pt) {                      /* global entries go only this way (SDM vol. 3, 4.10.4.1) */
		write_cr4(read_cr4() & ~CR4_PGE);
		write_cr4(read_cr4() | CR4_PGE);
	} else if ((read_cr3() & PTE_ADDR) == pt->root) {
		write_cr3(read_cr3());
	}
	irq_restore(on);
	if (tlb)
		tlb->flush(pt, 0, true);
}

/* ---- the kernel's tree ---- */

/* Name the kernel's tree, still empty. Once, before anything is mapped. */
void
pt_init_kernel(void)
{
	kernel_pt.root = (uint64_t)kernel_root - KERNBASE;
}

/* From now on trees can be made: the kernel's part of the PML4 is complete (I1). */
void
pt_seal_kernel(void)
{
	for (int i = 256; i < 512; i++)
		if (kernel_root[i] & PTE_P) {
			assert(nkslot < 16);
			kslot[nkslot++] = (uint16_t)i;
		}
}

/* What every CPU needs for these tables to mean what they say: NX, write protection in the kernel, global
 * pages. */
void
pt_init_cpu(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	write_cr0(read_cr0() | CR0_WP);
	pt_load(&kernel_pt);
	write_cr4(read_cr4() | CR4_PGE);
}

uint64_t
pt_cached_pages(void)
{
	uint64_t n = __atomic_load_n(&ntables, __ATOMIC_RELAXED);

	for (int i = 0; i < NCPU; i++)
		n += table_caches[i].n;
	return n;
}
