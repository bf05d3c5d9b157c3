/* aspace.h - an address space: page tables, and a slot for whoever knows what is mapped.      (lab 4)
 *
 * Lab 4's own way is plain: every page of a mapping is allocated and filled at once, and fork copies them
 * all. Lab 5 registers something better (mappings, demand paging, copy-on-write).
 */
#ifndef KERN_PROC_ASPACE_H
#define KERN_PROC_ASPACE_H

#include "kern/mem/pagetable.h"
#include "kern/proc/mutex.h"
#include "kern/proc/source.h"

/* key: I immutable; a atomic; l lock */
struct aspace {
	struct pagetable pt;       /* [l] */
	uint32_t refs;             /* [a] vfork and threads share one */
	/* [a] nobody uses it: idle CPUs that still have it in CR3 let go (sched.c) */
	bool dying;
	struct mutex lock;         /* RANK(5, 50) */
	uint64_t brk_start, brk;   /* [l] */
	uint64_t stack_top;        /* [I] after exec */
	uint64_t arg_start, arg_end, env_start, env_end;   /* [I] after exec: /proc/PID/cmdline */
	uint64_t auxv[2 * 24];     /* [I] after exec: /proc/PID/auxv */
	struct source *exe;        /* [I] after exec: the program */
	uint64_t rss;              /* [a] resident pages */
	void *vm;                  /* [o] lab 5 */
};

/* prot: PROT_*, flags: MAP_* of lib/abi/mman.h. */
struct aspace_ops {
	int  (*init)(struct aspace *as);
	/* Map [va, va+len) (page-aligned): the first `filelen` bytes come from src at off, the rest is zero.
	 * MAP_FIXED semantics. */
	int  (*map)(struct aspace *as, uint64_t va, uint64_t len, int prot, int flags, struct source *src,
		uint64_t off, uint64_t filelen);
	/* reserve the main stack: grows down to top - max */
	int  (*stack)(struct aspace *as, uint64_t top, uint64_t max);
	int  (*clone)(struct aspace *dst, struct aspace *src);              /* fork */
	/* all pages of the user half (tables: aspace.c); loaded on no CPU */
	void (*destroy)(struct aspace *as);
	/* make the page at va present (aspace_read/write before they walk); NULL: it is */
	int  (*touch)(struct aspace *as, uint64_t va, bool write);
};
void aspace_register(const struct aspace_ops *ops);

int  aspace_new(struct aspace **out);                        /* -ENOMEM */
int  aspace_clone(struct aspace *src, struct aspace **out);  /* fork's copy */
struct aspace *aspace_get(struct aspace *as);
void aspace_put(struct aspace *as);
/* load it on this CPU (NULL: the kernel's own); irqs off (sched.c) */
void aspace_switch(struct aspace *as);
int  aspace_map(struct aspace *as, uint64_t va, uint64_t len, int prot, int flags, struct source *src,
	uint64_t off, uint64_t filelen);
int  aspace_stack(struct aspace *as, uint64_t top, uint64_t max);
/* Copy to/from another address space (exec building a stack, /proc/PID/cmdline): 0 or -EFAULT. May sleep. */
int  aspace_write(struct aspace *as, uint64_t va, const void *src, size_t n);
int  aspace_read(struct aspace *as, void *dst, uint64_t va, size_t n);

#endif
