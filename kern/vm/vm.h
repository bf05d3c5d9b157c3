/* vm.h - what the files of this folder share and nobody else sees.                           (lab 5) */
#ifndef KERN_VM_VM_H
#define KERN_VM_VM_H

#include "kern/vm/mapping.h"

#define MM_MAX_MAPPINGS 65530        /* as Linux: more is -ENOMEM */
#define MM_LOWEST 0x10000ul          /* nothing is mapped below: a NULL pointer with an offset faults */

/* What hangs in as->vm. key: l as->lock */
struct vm {
	struct mapping **map;      /* [l] sorted by lo */
	int n, cap;                /* [l] */
	int last;                  /* [l] what mm_find found last: programs stay where they are */
	uint64_t npages;           /* [l] pages in mappings, for RLIMIT_AS */
	uint64_t stack_low;        /* [l] the main stack never grows below */
	uint64_t mmap_top;         /* [l] mmap looks for room below, downwards */
	struct list dead;          /* [l] mappings taken out; mm_unlock lets go of their objects */
};

static inline struct vm *vm_of(struct aspace *as) { return as->vm; }
static inline struct page *pte_page(pte_t e) { return &page_array[(e & PTE_ADDR) >> PAGE_SHIFT]; }  /* e: an entry in use */
static inline bool mapping_shared(const struct mapping *m) { return m->flags & 1; /* MAP_SHARED */ }

/* mapping.c; all with as->lock held. mm_unlock releases it and ends what mm_unmap took out (may sleep) */
void mm_unlock(struct aspace *as);
int  mm_find(struct aspace *as, uint64_t va);                   /* index of the first mapping with hi > va; n if none */
struct mapping *mm_lookup(struct aspace *as, uint64_t va);      /* the mapping that holds va, or NULL */
int  mm_insert(struct aspace *as, const struct mapping *want);  /* a copy of *want; range must be free. -ENOMEM */
int  mm_isolate(struct aspace *as, uint64_t lo, uint64_t hi);   /* split so that no mapping straddles lo or hi. -ENOMEM, nothing lost */
int  mm_unmap(struct aspace *as, uint64_t lo, uint64_t hi);     /* -ENOMEM from a split */
bool mm_range_free(struct aspace *as, uint64_t lo, uint64_t hi);
uint64_t mm_find_area(struct aspace *as, uint64_t hint, uint64_t len);   /* 0: none */
struct mapping *mm_grow_stack(struct aspace *as, uint64_t va);  /* extends the stack mapping down to va if allowed, else NULL */

/* leaf.c; all with as->lock held */
pte_t leaf_flags(const struct mapping *m, bool write);          /* entry bits for a page of m, about to be written or not */
void leaf_zap(struct aspace *as, struct mapping *m, uint64_t lo, uint64_t hi, bool flush);
void leaf_protect(struct aspace *as, struct mapping *m, uint64_t lo, uint64_t hi);
int  leaf_copy(struct aspace *dst, struct aspace *src, struct mapping *m);
void leaf_move(struct aspace *as, struct mapping *m, uint64_t from, uint64_t to, uint64_t len);

/* shm.c: the object behind MAP_SHARED | MAP_ANONYMOUS, referenced once for the caller. */
int  shm_new(uint64_t npages, struct map_object **out);

#endif
