/* radix.h - a sparse array of pages with a dirty mark per slot.                               (lab 7) */
#ifndef FS_VFS_RADIX_H
#define FS_VFS_RADIX_H

#include "kern/mem/page.h"

/* `root` is the caller's `void *`, NULL when empty. All calls under the caller's lock; none sleeps. */
struct page *radix_get(void *root, uint64_t index);
int  radix_put(void **root, uint64_t index, struct page *p);      /* slot must be empty; -ENOMEM */
void radix_del(void **root, uint64_t index);
/* first page at or after *index; NULL: none */
struct page *radix_next(void *root, uint64_t *index);
void radix_mark(void **root, uint64_t index, bool dirty);          /* slot must be full */
struct page *radix_next_dirty(void *root, uint64_t *index);

#endif
