/* pagetable.h - 4-level page tables (SDM vol. 3, 4.5): one leaf at a time.                  (lab 2)
 * Contracts are above the functions in pagetable.c. */
#ifndef KERN_MEM_PAGETABLE_H
#define KERN_MEM_PAGETABLE_H

#include "kern/mem/page.h"

typedef uint64_t pte_t;
#define PTE_P   (1ul << 0)     /* present */
#define PTE_W   (1ul << 1)     /* writable */
#define PTE_U   (1ul << 2)     /* user */
#define PTE_PWT (1ul << 3)
#define PTE_PCD (1ul << 4)     /* uncached: device registers */
#define PTE_A   (1ul << 5)     /* accessed */
#define PTE_D   (1ul << 6)     /* dirty */
#define PTE_PS  (1ul << 7)     /* 2 MiB leaf */
#define PTE_G   (1ul << 8)     /* global */
#define PTE_COW (1ul << 9)     /* software: shared, copy on the first write (lab 5) */
#define PTE_SW2 (1ul << 10)    /* software: free for lab 5+ */
#define PTE_NX  (1ul << 63)
#define PTE_ADDR 0x000ffffffffff000ul

/* A page table tree, named by its root's physical address. The upper half is the kernel's, shared by all. */
struct pagetable {
	uint64_t root;             /* [I] physical address of the PML4 */
};

extern struct pagetable kernel_pt;

int  pt_init(struct pagetable *pt);                                /* new tree: kernel half shared; -ENOMEM */
void pt_destroy(struct pagetable *pt);                             /* frees the user half's tables, not the leaf pages */
/* Leaf entry for va, or NULL when a table on the way is missing and !create or out of memory. No locking: the
 * owner of the tree serialises. Never returns an entry inside a 2 MiB leaf. */
pte_t *pt_walk(struct pagetable *pt, uint64_t va, bool create);
/* As pt_walk, for the entry of a table of `level`: 0 maps 4 KiB, 1: 2 MiB, 2: 1 GiB. Kernel half only. */
pte_t *pt_walk_level(struct pagetable *pt, uint64_t va, int level, bool create);
/* As pt_walk with create, for the entries of n consecutive pages within one table (va's 2 MiB): whoever
 * writes entries beyond the first must ask this way, because a table remembers which of its entries may be
 * in use (pagetable.c, I3). */
pte_t *pt_walk_n(struct pagetable *pt, uint64_t va, unsigned n);
/* The n entries from e on, in one table, have been cleared: nobody need look at them again. */
void pt_untouch(pte_t *e, unsigned n);
/* Call fn on every present user leaf in [lo, hi), skipping absent tables fast; stops at a non-zero return,
 * which it returns. */
int  pt_each(struct pagetable *pt, uint64_t lo, uint64_t hi, int (*fn)(pte_t *pte, uint64_t va, void *arg), void *arg);
/* The next run of user leaf entries that may be in use, at or after *va and below hi: sets *va to its
 * first page and *n to its length (all in one table); NULL: no more. Entries of a run may be zero. Loop:
 * for (...; (e = pt_next(pt, &va, hi, &n)); va += n * PAGE_SIZE). */
pte_t *pt_next(struct pagetable *pt, uint64_t *va, uint64_t hi, unsigned *n);
int  pt_map(struct pagetable *pt, uint64_t va, uint64_t pa, pte_t flags);   /* one 4 KiB page; asserts absent; refuses W without NX (asserts W^X) */
pte_t pt_unmap(struct pagetable *pt, uint64_t va);                 /* returns the old entry, 0 if none; caller flushes */
void pt_init_cpu(void);                                            /* other CPUs: NX, WP, global pages, kernel_pt */
void pt_load(const struct pagetable *pt);                          /* CR3 on this CPU */

/* The direct-map address of [pa, pa+len) if all of it is mapped there (RAM, firmware tables), else NULL:
 * for addresses that come from tables in memory, which may lie. */
void *directmap_ptr(uint64_t pa, uint64_t len);
uint64_t pt_cached_pages(void);                    /* pages in caches or in the kernel's own tables: not leaks */
uint64_t kstack_cached_pages(void);
void pt_init_kernel(void);
void pt_seal_kernel(void);
/* Single pages of the dynamic area. */
int  kmap_page(uint64_t va, uint64_t pa, pte_t flags);
pte_t kunmap_page(uint64_t va);

/* Kernel mappings. map_device: uncached registers, any alignment; returned address keeps the offset; NULL:
 * no memory. */
void *map_device(uint64_t pa, uint64_t len);
void unmap_device(void *va, uint64_t len);

/* Kernel stacks: KSTACK_SIZE bytes with an unmapped guard page below; returns the top (16-aligned) or
 * NULL. Cached for reuse. */
#define KSTACK_SIZE (16 * 1024ul)
void *kstack_alloc(void);
void kstack_free(void *top);
/* Is `va` in the guard page of a kernel stack? (double-fault reports) */
bool kstack_guard(uint64_t va);

/* TLB: flush one page or everything of a tree on every CPU that may have it loaded. Lab 2 flushes only here;
 * lab 13 fills the slot. Callers: after clearing or narrowing an entry, before the page is freed. */
void tlb_flush_page(struct pagetable *pt, uint64_t va);
void tlb_flush_all(struct pagetable *pt);
struct tlb_ops {
	void (*flush)(struct pagetable *pt, uint64_t va, bool all);    /* on all other CPUs, returns when done */
};
void tlb_register(const struct tlb_ops *ops);

#endif
