/* pagetable.c - page table trees, and the kernel's own half of them.                         (lab 2)
 *
 * Idea.       An address is four 9-bit indices and an offset; each index picks an entry in a page of 512:
 *
 *                 47     39 38     30 29     21 20     12 11       0
 *                 [ PML4 ] [ PDPT ] [  PD  ] [  PT  ] [ offset ]         SDM vol. 3, 4.5
 *
 *             The upper half of every tree is the same: it shares the kernel's PDPTs. Three parts are mapped there:
 *             all RAM (direct map, never executable), the kernel image (text R+X, rodata R, data R+W), and a dynamic
 *             area for device registers and kernel stacks, each stack above an unmapped guard.
 * Interface.  pt_walk finds an entry, pt_each visits many; map_device, kstack_alloc.
 * Invariants. I1 the kernel's PML4 entries never change after pagetable_init, so trees may copy them.
 *             I2 no mapping is writable and executable.
 *             I3 in a user-half table all entries outside [lo, hi) of its struct page are zero: cheap to copy and to free.
 *             I4 pages in the table caches are all zero.
 * Locks.      A tree's owner serialises it. kmap_lock: the dynamic area. Caches: own CPU with interrupts off.
 */
#include "kern/mem/pagetable.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define SIZE_2M (1ul << 21)
#define SIZE_1G (1ul << 30)
#define MSR_EFER 0xc0000080
#define EFER_NXE (1ul << 11)
#define CR0_WP (1ul << 16)
#define CR4_PGE (1ul << 7)
#define KRW (PTE_P | PTE_W | PTE_NX | PTE_G)
#define KDEV (KRW | PTE_PCD | PTE_PWT)

extern char text_start[], rodata_start[], rodata_end[], kernel_end[];    /* kernel.lds */

struct pagetable kernel_pt;                          /* [I] */
static pte_t kernel_root[512] __attribute__((aligned(4096)));
static uint16_t kslot[16];                           /* [I] PML4 entries in use by the kernel (I1) */
static int nkslot;
static uint64_t ntables;                             /* [a] table pages below kernel_root */
static bool has_1g;
static const struct tlb_ops *tlb;

static inline unsigned
index_of(uint64_t va, int level)
{
	return va >> (PAGE_SHIFT + 9 * level) & 511;
}

/* ---- table pages ---- */

#define TABLE_CACHE 16
static struct table_cache {
	uint32_t n;
	struct page *page[TABLE_CACHE];
} table_caches[NCPU];

#define LO(p) ((p)->priv[0])          /* I3 */
#define HI(p) ((p)->priv[1])

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
	LO(p) = 512;
	HI(p) = 0;
	return p;
}

/* Give a table back; what it refers to is the caller's affair. */
static void
table_free(struct page *p)
{
	pte_t *table = page_virt(p);
	struct table_cache *c;
	bool on;

	for (uint64_t i = LO(p); i < HI(p); i++)
		table[i] = 0;
	on = irq_save();
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
	struct page *p = page_of_virt(table);

	if (i < LO(p))
		LO(p) = i;
	if (i + n > HI(p))
		HI(p) = i + n;
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

/* The entry for va in the table of `level` (0: leaf of 4 KiB). NULL: a table is missing (and could not be made), or a
 * larger leaf covers va. */
static inline pte_t *
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

	i = i > LO(p) ? i : LO(p);
	end = end + 1 < HI(p) ? end + 1 : HI(p);
	for (; i < end && r == 0; i++) {
		if (!(table[i] & PTE_P))
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

/* The first run of entries below `table` (which maps from base) that lies in [*va, hi). */
static pte_t *
next_run(pte_t *table, int level, uint64_t base, uint64_t *va, uint64_t hi, unsigned *n)
{
	struct page *p = page_of_virt(table);
	int shift = PAGE_SHIFT + 9 * level;
	uint64_t i = *va > base ? (*va - base) >> shift : 0;
	uint64_t end = ((hi - base - 1) >> shift) + 1;

	i = i > LO(p) ? i : LO(p);
	end = end < HI(p) ? end : HI(p);
	if (level == 0 && i < end) {
		*va = base + (i << shift);
		*n = end - i;
		return &table[i];
	}
	for (; level > 0 && i < end; i++) {
		pte_t *run = NULL;

		if (table[i] & PTE_P)
			run = next_run(P2V(table[i] & PTE_ADDR), level - 1, base + (i << shift), va, hi, n);
		if (run)
			return run;
	}
	return NULL;
}

pte_t *
pt_next(struct pagetable *pt, uint64_t *va, uint64_t hi, unsigned *n)
{
	hi = hi < USER_END ? hi : USER_END;
	return *va < hi ? next_run(P2V(pt->root), 3, 0, va, hi, n) : NULL;
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

static void
tables_free(pte_t *table, int level)
{
	struct page *p = page_of_virt(table);

	for (uint64_t i = LO(p); level > 0 && i < HI(p); i++)
		if (table[i] & PTE_P)
			tables_free(P2V(table[i] & PTE_ADDR), level - 1);
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

/* ---- device registers ---- */

#define DEVICE_BASE (KDYN_BASE + (1ul << 36))
#define DEVICE_END (KDYN_BASE + (1ul << 38))
#define DEVICE_MAX (1ul << 30)

static struct spinlock kmap_lock = SPINLOCK("kernel map", RANK(2, 10));
static uint64_t device_next = DEVICE_BASE;           /* kmap_lock; addresses are not used twice */

/* Map [pa, pa + len) uncached. Returns: its address (offset in the page kept), or NULL: no memory, or no sane range. */
void *
map_device(uint64_t pa, uint64_t len)
{
	uint64_t first = PAGE_DOWN(pa), size, va;
	int err = 0;

	if (len == 0 || len > DEVICE_MAX || pa + len < pa || pa + len > PTE_ADDR)
		return NULL;
	size = PAGE_UP(pa + len) - first;
	spin_lock(&kmap_lock);
	va = device_next;
	if (va + size + PAGE_SIZE > DEVICE_END)
		err = -ENOMEM;
	else
		device_next += size + PAGE_SIZE;
	for (uint64_t at = 0; at < size && !err; at += PAGE_SIZE)
		err = pt_map(&kernel_pt, va + at, first + at, KDEV);
	spin_unlock(&kmap_lock);
	if (err) {
		unmap_device((void *)va, size);
		return NULL;
	}
	return (void *)(va + (pa - first));
}

void
unmap_device(void *addr, uint64_t len)
{
	uint64_t va = PAGE_DOWN(addr), end = PAGE_UP((uint64_t)addr + len);

	for (; va < end; va += PAGE_SIZE) {
		spin_lock(&kmap_lock);
		pt_unmap(&kernel_pt, va);
		spin_unlock(&kmap_lock);
		tlb_flush_page(&kernel_pt, va);
	}
}

/* ---- kernel stacks ----
 * A slot is a guard and a stack of the same size. A freed stack stays mapped in the CPU's cache; beyond that its pages go
 * back at once, but the slot rests (STALE) until the slots run out: then one flush of all TLBs frees all stale slots. */

#define KSTACK_BASE KDYN_BASE
#define KSTACK_SLOT (2 * KSTACK_SIZE)
#define NKSTACK 16384
#define KSTACK_CACHE 8

enum slot_state { SLOT_FREE, SLOT_LIVE, SLOT_STALE, SLOT_FLUSHING };
static uint8_t slots[NKSTACK];                       /* kmap_lock: enum slot_state */
static unsigned slot_next;                           /* kmap_lock: where to look first */
static bool slots_flushing;                          /* kmap_lock */
static struct kstack_cache {
	uint32_t n;
	void *top[KSTACK_CACHE];
} kstack_caches[NCPU];

/* Requires: kmap_lock. Returns: -1 when none is free between slot_next and the end. */
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

static void
slots_turn(enum slot_state from, enum slot_state to)
{
	for (unsigned i = 0; i < NKSTACK; i++)
		if (slots[i] == from)
			slots[i] = to;
}

static int
slot_alloc(void)
{
	int i;

	spin_lock(&kmap_lock);
	if ((i = slot_find()) < 0 && !slots_flushing) {
		slots_flushing = true;
		slots_turn(SLOT_STALE, SLOT_FLUSHING);
		spin_unlock(&kmap_lock);
		tlb_flush_all(&kernel_pt);               /* waits for other CPUs: no lock held */
		spin_lock(&kmap_lock);
		slots_turn(SLOT_FLUSHING, SLOT_FREE);
		slots_flushing = false;
		slot_next = 0;
		i = slot_find();
	}
	spin_unlock(&kmap_lock);
	return i;
}

/* Unmap and free what is mapped of slot i's stack; the slot becomes stale. */
static void
slot_free(unsigned i)
{
	uint64_t va = KSTACK_BASE + i * KSTACK_SLOT + KSTACK_SIZE;
	pte_t e;

	spin_lock(&kmap_lock);
	for (uint64_t at = 0; at < KSTACK_SIZE; at += PAGE_SIZE)
		if ((e = pt_unmap(&kernel_pt, va + at)) & PTE_P)
			page_unref(page_of_phys(e & PTE_ADDR));
	slots[i] = SLOT_STALE;
	spin_unlock(&kmap_lock);
}

static void *
kstack_new(void)
{
	int i = slot_alloc();
	uint64_t va = KSTACK_BASE + (uint64_t)i * KSTACK_SLOT + KSTACK_SIZE;
	struct page *p;
	int err;

	if (i < 0)
		return NULL;
	for (uint64_t at = 0; at < KSTACK_SIZE; at += PAGE_SIZE) {
		if (!(p = page_alloc(PG_STACK))) {
			slot_free((unsigned)i);
			return NULL;
		}
		spin_lock(&kmap_lock);
		err = pt_map(&kernel_pt, va + at, page_phys(p), KRW);
		spin_unlock(&kmap_lock);
		if (err) {
			page_unref(p);
			slot_free((unsigned)i);
			return NULL;
		}
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
	return va >= KSTACK_BASE && va < KSTACK_BASE + NKSTACK * KSTACK_SLOT && (va - KSTACK_BASE) % KSTACK_SLOT < KSTACK_SIZE;
}

uint64_t
pt_cached_pages(void)
{
	uint64_t n = __atomic_load_n(&ntables, __ATOMIC_RELAXED);

	for (int i = 0; i < NCPU; i++)
		n += table_caches[i].n + kstack_caches[i].n * (KSTACK_SIZE / PAGE_SIZE);
	return n;
}

/* ---- the kernel's half, at boot ---- */

/* Map a leaf of 4 KiB, 2 MiB or 1 GiB (level 0, 1, 2). An entry that is there already stays. Returns: false when a table is
 * there instead. */
static bool
kmap(uint64_t va, uint64_t pa, pte_t flags, int level)
{
	pte_t *e = walk(&kernel_pt, va, level, true);

	if (!e)
		return true;                         /* a larger leaf covers it */
	if (*e & PTE_P)
		return level == 0 || (*e & PTE_PS);
	*e = pa | flags | (level > 0 ? PTE_PS : 0);
	return true;
}

static bool
in_image(uint64_t lo, uint64_t hi)
{
	return lo < (uint64_t)kernel_end - KERNBASE && hi > (uint64_t)text_start - KERNBASE;
}

/* The 2 MiB at pa hold parts of the image: what is read-only there is so here, too (I2). */
static void
directmap_image(uint64_t pa)
{
	for (uint64_t a = pa; a < pa + SIZE_2M; a += PAGE_SIZE) {
		bool ro = a >= (uint64_t)text_start - KERNBASE && a < (uint64_t)rodata_end - KERNBASE;

		kmap((uint64_t)P2V(a), a, ro ? KRW & ~PTE_W : KRW, 0);
	}
}

/* Direct-map [lo, hi), rounded outwards to 2 MiB, with the largest leaves that fit. */
static void
directmap_add(uint64_t lo, uint64_t hi)
{
	hi = hi < KDYN_BASE - DIRECTMAP ? (hi + SIZE_2M - 1) & ~(SIZE_2M - 1) : KDYN_BASE - DIRECTMAP;
	for (lo &= ~(SIZE_2M - 1); lo < hi; lo += SIZE_2M) {
		if (has_1g && lo % SIZE_1G == 0 && hi - lo >= SIZE_1G && !in_image(lo, lo + SIZE_1G)
		    && kmap((uint64_t)P2V(lo), lo, KRW, 2))
			lo += SIZE_1G - SIZE_2M;
		else if (in_image(lo, lo + SIZE_2M))
			directmap_image(lo);
		else
			kmap((uint64_t)P2V(lo), lo, KRW, 1);
	}
}

/* RAM, firmware tables (typed or in small reserved ranges), low memory with the VGA, the framebuffer. */
static void
directmap_init(void)
{
	const struct framebuffer *fb = &bootinfo.fb;

	directmap_add(0, SIZE_2M);
	for (int i = 0; i < bootinfo.nmem; i++) {
		const struct mem_range *r = &bootinfo.mem[i];

		if (r->type == MEM_RAM || r->type == MEM_ACPI || r->type == MEM_NVS || r->len <= 8 * SIZE_2M)
			directmap_add(r->base, r->base + r->len);
	}
	if (fb->phys != 0)
		directmap_add(fb->phys, fb->phys + (uint64_t)fb->pitch * fb->height);
}

void *
directmap_ptr(uint64_t pa, uint64_t len)
{
	uint64_t end = pa + len;

	if (end < pa || end > KDYN_BASE - DIRECTMAP)
		return NULL;
	for (uint64_t a = pa & ~(SIZE_2M - 1); a < end; a += SIZE_2M) {
		uint64_t va = (uint64_t)P2V(a);
		pte_t *e = walk(&kernel_pt, va, 2, false);

		if (e && (*e & (PTE_P | PTE_PS)) == PTE_P)
			e = walk(&kernel_pt, va, 1, false);
		if (!e || !(*e & PTE_P))
			return NULL;
	}
	return P2V(pa);
}

static void
image_init(void)
{
	for (uint64_t va = (uint64_t)text_start; va < (uint64_t)kernel_end; va += PAGE_SIZE) {
		pte_t flags = KRW;

		if (va < (uint64_t)rodata_start)
			flags = PTE_P | PTE_G;
		else if (va < (uint64_t)rodata_end)
			flags = PTE_P | PTE_G | PTE_NX;
		kmap(va, va - KERNBASE, flags, 0);
	}
}

void
pt_init_cpu(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	write_cr0(read_cr0() | CR0_WP);
	pt_load(&kernel_pt);
	write_cr4(read_cr4() | CR4_PGE);
}

static void
pagetable_init(void)
{
	uint32_t r[4];

	cpuid(0x80000001, 0, r);
	has_1g = r[3] & 1u << 26;
	kernel_pt.root = (uint64_t)kernel_root - KERNBASE;
	directmap_init();
	image_init();
	if (!walk(&kernel_pt, KDYN_BASE, 0, true))
		panic("no memory for the kernel's page tables");
	for (int i = 256; i < 512; i++)
		if (kernel_root[i] & PTE_P) {
			assert(nkslot < 16);
			kslot[nkslot++] = (uint16_t)i;
		}
	pt_init_cpu();
	page_add_high();
}

INITCALL(2, pagetable_init);
