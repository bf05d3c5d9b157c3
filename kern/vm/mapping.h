/* mapping.h - what an address space means: a sorted set of mappings, filled in by faults.     (lab 5)
 *
 * Idea.       A mapping says where pages would come from; a page-table entry appears on the first touch.
 *             Private pages are shared until written (COW); a mapping of an object asks the object's ops for pages.
 * Invariants. I1 mappings do not overlap.  I2 a present user entry lies in a mapping and grants no more than it.
 *             I3 a page that two address spaces reach through private mappings is read-only in both.
 * Locks.      as->lock guards mappings and tables; object->lock guards its list of mappings. Neither is held
 *             while an object's ops run: fault drops as->lock, and looks again afterwards (gen, seq).
 * Contracts are above the functions in mapping.c, fault.c, mmap.c, object.c.
 */
#ifndef KERN_VM_MAPPING_H
#define KERN_VM_MAPPING_H

#include "kern/proc/aspace.h"

struct map_object;

/* Implementer's contract (the file layer, shared anonymous memory). May sleep; called with no vm lock held.
 * get_page: page number `index` of the object with a reference for the caller, contents valid. -EIO, -ENOMEM, -ENOSPC;
 *   -ERANGE: past the end (the program gets SIGBUS). write: the caller will make it writable: allocate backing, mark dirty.
 *   So a page is dirty whenever some entry lets it be written. Write-back clears the mark, then calls map_object_clean (the
 *   next write faults and marks again), then writes.
 * peek: look around a fault: pages[i] = page index+i if it is in memory with valid contents, referenced, else NULL; returns how many it found.
 * ref/unref: a mapping begins/ends to use the object (ref: an atomic, may be called under locks; unref may sleep).
 * sync: write dirty pages first..last and wait (msync); NULL: nothing to do. name, ids: for /proc/PID/maps; NULL: anonymous. */
struct map_ops {
	int  (*get_page)(struct map_object *o, uint64_t index, bool write, struct page **out);
	int  (*peek)(struct map_object *o, uint64_t index, struct page **pages, int n);
	void (*ref)(struct map_object *o);
	void (*unref)(struct map_object *o);
	int  (*sync)(struct map_object *o, uint64_t first, uint64_t last);
	size_t (*name)(struct map_object *o, char *buf, size_t n);
	void (*ids)(struct map_object *o, uint64_t *dev, uint64_t *ino);
};

/* Embedded in an inode (lab 7). key: l lock (RANK(5, 20)) */
struct map_object {
	const struct map_ops *ops; /* [I] */
	struct spinlock lock;
	struct list mappings; /* [l] all mappings of this object */
	uint64_t seq;              /* [l] odd while pages are being taken away; faults that saw another value start over */
};
void map_object_init(struct map_object *o, const struct map_ops *ops);
/* Take pages [first, last] out of every page table (truncate, 3.0 hole punching). May sleep; caller has already made
 * get_page refuse or renew them. map_object_clean: write-protect them (before write-back). */
void map_object_zap(struct map_object *o, uint64_t first, uint64_t last);
void map_object_clean(struct map_object *o, uint64_t first, uint64_t last);
static inline bool map_object_mapped(const struct map_object *o) { return !list_empty(&o->mappings); }

/* key: l as->lock; o also object->lock */
struct mapping {
	struct list obj_link; /* [o] in object->mappings */
	struct aspace *as;         /* [I] */
	uint64_t lo, hi;           /* [lo] page aligned, lo < hi */
	int prot, flags;           /* [l] PROT_*, MAP_PRIVATE or MAP_SHARED, MAP_GROWSDOWN, MAP_ANONYMOUS, MAP_STACK */
	bool touched;              /* [l] false: certainly no entry exists yet */
	struct map_object *object; /* [I] NULL: zero pages */
	uint64_t index;            /* [lo] page number in the object at lo */
	uint64_t filelen;          /* [lo] bytes from the object counted from lo, zeros after (ELF segments); ~0: all */
};

/* Used by upper layers. mm_map: mmap's work, for a file layer that has already checked the descriptor: returns the address or -errno. */
long mm_map(struct aspace *as, uint64_t hint, uint64_t len, int prot, int flags, struct map_object *o, uint64_t off);
/* Lab 7: how mmap(fd) becomes an object: checks access for prot/flags; referenced object or -errno (EBADF, EACCES, ENODEV). */
void mm_set_fd_hook(int (*fn)(int fd, int prot, int flags, struct map_object **out));
/* A page fault at va: 0 handled; -EFAULT no mapping or not allowed (SIGSEGV), -EIO/-ERANGE (SIGBUS), -ENOMEM. May sleep. */
int  mm_fault(struct aspace *as, uint64_t va, int pf_error);
/* Describe the mappings for /proc/PID/maps: fn per mapping, under as->lock (fn must not sleep or fault). */
int  mm_each(struct aspace *as, int (*fn)(const struct mapping *m, void *arg), void *arg);
uint64_t mm_total_pages(struct aspace *as);
#endif
