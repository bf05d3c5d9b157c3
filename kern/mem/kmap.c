/* kmap.c - the kernel's own half of every address space.                                      (lab 2)
 *
 * Idea.       Three parts, each with the permissions it needs and no more:
 *
 *                 DIRECTMAP    all RAM and firmware tables, with the largest leaves that fit     R W
 *                 KDYN_BASE    kernel stacks (kstack.c), then device registers (uncached)        R W
 *                 KERNBASE     the image: text R X, rodata R, data R W
 *
 *             What is read-only in the image is read-only in the direct map, too.
 * Interface.  map_device; kmap_page and kunmap_page for single pages; directmap_ptr.
 * Invariants. I1 no page is writable and executable; only the image's text is executable.
 * Locks.      kmap_lock: the tables under KDYN_BASE.
 */
#include "kern/mem/pagetable.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "lib/abi/errno.h"

#define SIZE_2M (1ul << 21)
#define SIZE_1G (1ul << 30)
#define KRW (PTE_P | PTE_W | PTE_NX | PTE_G)
#define KDEV (KRW | PTE_PCD | PTE_PWT)

extern char text_start[], rodata_start[], rodata_end[], kernel_end[];    /* kernel.lds */

static bool has_1g;                                  /* [I] the CPU knows leaves of 1 GiB */

/* ---- the dynamic area ---- */

#define DEVICE_BASE (KDYN_BASE + (1ul << 36))
#define DEVICE_END (KDYN_BASE + (1ul << 38))
#define DEVICE_MAX (1ul << 30)

static struct spinlock kmap_lock = SPINLOCK("kernel map", RANK(2, 10));
static uint64_t device_next = DEVICE_BASE;           /* kmap_lock; addresses are not used twice */

/* Map one page of the dynamic area. Returns: 0 or -ENOMEM. */
int
kmap_page(uint64_t va, uint64_t pa, pte_t flags)
{
	int err;

	spin_lock(&kmap_lock);
	err = pt_map(&kernel_pt, va, pa, flags);
	spin_unlock(&kmap_lock);
	return err;
}

/* Returns: the old entry, 0 if there was none. The caller flushes. */
pte_t
kunmap_page(uint64_t va)
{
	pte_t old;

	spin_lock(&kmap_lock);
	old = pt_unmap(&kernel_pt, va);
	spin_unlock(&kmap_lock);
	return old;
}

/* Addresses for `size` bytes of registers and a page that stays unmapped. 0: none left. */
static uint64_t
device_space(uint64_t size)
{
	uint64_t va = 0;

	spin_lock(&kmap_lock);
	if (device_next + size + PAGE_SIZE <= DEVICE_END) {
		va = device_next;
		device_next += size + PAGE_SIZE;
	}
	spin_unlock(&kmap_lock);
	return va;
}

/* Map [pa, pa + len) uncached. Returns: its address (offset in the page kept), or NULL: no memory, or no
 * sane range. */
void *
map_device(uint64_t pa, uint64_t len)
{
	uint64_t first = PAGE_DOWN(pa), size, va;

	if (len == 0 || len > DEVICE_MAX || pa + len < pa || pa + len > PTE_ADDR)
		return NULL;
	size = PAGE_UP(pa + len) - first;
	if (!(va = device_space(size)))
		return NULL;
	for (uint64_t at = 0; at < size; at += PAGE_SIZE)
		if (kmap_page(va + at, first + at, KDEV) < 0) {
			unmap_device((void *)va, at);
			return NULL;
		}
	return (void *)(va + (pa - first));
}

void
unmap_device(void *addr, uint64_t len)
{
	uint64_t va = PAGE_DOWN(addr), end = PAGE_UP((uint64_t)addr + len);

	for (; va < end; va += PAGE_SIZE)
		if (kunmap_page(va) & PTE_P)
			tlb_flush_page(&kernel_pt, va);
}

/* ---- at boot ---- */

/* Map a leaf of 4 KiB, 2 MiB or 1 GiB (level 0, 1, 2). An entry that is there already stays. Returns:
 * false when a table is there instead. */
static bool
kmap(uint64_t va, uint64_t pa, pte_t flags, int level)
{
	pte_t *e = pt_walk_level(&kernel_pt, va, level, true);

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

/* The 2 MiB at pa hold parts of the image: what is read-only there is so here, too (I1). */
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
		pte_t *e = pt_walk_level(&kernel_pt, va, 2, false);

		if (e && (*e & (PTE_P | PTE_PS)) == PTE_P)
			e = pt_walk_level(&kernel_pt, va, 1, false);
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

static void
kmap_init(void)
{
	uint32_t r[4];

	cpuid(0x80000001, 0, r);
	has_1g = r[3] & 1u << 26;
	pt_init_kernel();
	directmap_init();
	image_init();
	if (!pt_walk(&kernel_pt, KDYN_BASE, true))
		panic("no memory for the kernel's page tables");
	pt_seal_kernel();
	pt_init_cpu();
	page_add_high();
}

INITCALL(2, kmap_init);
