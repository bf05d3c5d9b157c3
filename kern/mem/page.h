/* page.h - physical pages: who owns which, with reference counts.                           (lab 2)
 * Contracts are above the functions in page.c. */
#ifndef KERN_MEM_PAGE_H
#define KERN_MEM_PAGE_H

#include "kern/boot/cpu.h"
#include "lib/kern/list.h"

#define PAGE_SIZE 4096ul
#define PAGE_SHIFT 12
#define PAGE_DOWN(x) ((uint64_t)(x) & ~(PAGE_SIZE - 1))
#define PAGE_UP(x) (((uint64_t)(x) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))

#define KERNBASE  0xffffffff80000000ul   /* kernel image: virtual = physical + KERNBASE */
#define DIRECTMAP 0xffff888000000000ul   /* all RAM: virtual = physical + DIRECTMAP */
#define KDYN_BASE 0xffffc90000000000ul   /* kernel stacks and device registers, mapped page by page */
#define KDYN_END  0xffffe90000000000ul
#define USER_END  0x00007ffffffff000ul   /* first address no user mapping reaches */

#define P2V(pa) ((void *)((uint64_t)(pa) + DIRECTMAP))
#define V2P(va) ((uint64_t)(va) - DIRECTMAP)     /* direct-map addresses only */

/* One per physical page frame, in an array indexed by frame number. Whoever holds the page uses the union
 * part as it likes: the page cache (lab 7) keeps its file page state there, the heap its slab state.
 * key: a atomic; o the page's owner's lock */
struct page {
	uint32_t ref;              /* [a] references; 0: free or not RAM */
	uint16_t flags;            /* [o] owner's */
	uint8_t order;             /* [o] of a free or allocated block: 2^order pages */
	uint8_t kind;              /* [o] enum page_kind, for debugging and leak reports */
	struct list link;          /* [o] free list, or owner's list */
	void *owner;               /* [o] page cache: its mapping; heap: its cache */
	uint64_t index;            /* [o] page cache: page number in the file */
	uint64_t priv[3];          /* [o] also makes the struct 64 bytes: index by shift */
};

/* PG_NONE: never given out (not RAM, reserved, or inside a free block); PG_FREE: first page of a block on
 * a free list; PG_CACHED: in a CPU's magazine. The rest says who asked for the page. */
enum page_kind { PG_NONE, PG_FREE, PG_CACHED, PG_RESERVED, PG_KERNEL, PG_TABLE, PG_STACK, PG_HEAP, PG_ANON, PG_FILE };
#define PAGE_MAX_ORDER 10          /* largest block: 4 MiB */

struct page *page_alloc(enum page_kind kind);                      /* contents junk; ref 1; NULL: out of memory */
struct page *page_alloc_zero(enum page_kind kind);
struct page *page_alloc_order(int order, enum page_kind kind);     /* 2^order pages, aligned to their size */
void page_unref(struct page *p);                                   /* frees at 0 (the whole block of its order) */
void page_unref_many(struct page **page, unsigned n);              /* the same n times, for less */
void page_zero(struct page *p);                                    /* rep stosq or better, see PERFORMANCE */
void page_copy(struct page *dst, const struct page *src);

extern struct page *page_array;      /* [I] by frame number; for the three functions below */

static inline void
page_ref(struct page *p)
{
	__atomic_fetch_add(&p->ref, 1, __ATOMIC_RELAXED);
}

static inline uint32_t
page_refs(const struct page *p)
{
	return __atomic_load_n(&p->ref, __ATOMIC_RELAXED);
}

static inline uint64_t
page_phys(const struct page *p)
{
	return (uint64_t)(p - page_array) << PAGE_SHIFT;
}

/* Its address in the direct map, and back. */
static inline void *
page_virt(const struct page *p)
{
	return P2V(page_phys(p));
}

static inline struct page *
page_of_virt(const void *va)
{
	return &page_array[V2P(va) >> PAGE_SHIFT];
}

struct page *page_of_phys(uint64_t pa);                            /* NULL when not RAM */

uint64_t page_count_free(void);
uint64_t page_count_total(void);

/* Fill pages and heap objects with junk on alloc and free: kernel word junk=1, and whenever ktest= is
 * there. */
extern bool mem_junk;
/* Who wants to hear of every page block and heap object that is given out or comes back (asan_heap.c). Turns mem_junk on:
 * the paths that fill with junk are the ones that tell. Called with or without locks; must not call back. */
struct mem_watch {
	void (*pages_born)(struct page *p);              /* 2^p->order pages */
	void (*pages_died)(struct page *p);
	void (*object)(void *o, size_t n, size_t size);  /* of its size bytes, the first n may be used; 0: it is free */
};
void mem_watch_register(const struct mem_watch *watch);
extern const struct mem_watch *mem_watcher;                        /* [I] after boot; NULL: nobody */
uint64_t page_frames(void);                                        /* how many frames page_array has */

/* Give memory above BOOT_MAPPED to the allocator: pagetable.c, once its direct map reaches there. */
void page_add_high(void);
/* Physical address of the low page that lab 13 may use to start CPUs; never allocated. */
#define PAGE_TRAMPOLINE 0x8000ul

/* Memory pressure: reclaimers (page cache, lab 7) are called with no lock held when an allocation finds
 * nothing; each tries to free `want` pages and returns how many it did. Only when the caller may sleep (no
 * spinlock held). */
void reclaim_register(uint64_t (*fn)(uint64_t want));

#endif
