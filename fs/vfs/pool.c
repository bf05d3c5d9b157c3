/* pool.c - objects whose memory always stays objects of the same kind.                        (lab 7)
 *
 * Idea.       Path lookup reads dentries, inodes and mounts without any lock and checks afterwards that
 *             nothing changed (dentry.c). For that, memory it may still look at must never become something
 *             else: a freed object goes back on its pool's chain with its fields intact, and pages of a pool
 *             are never given back.
 * Interface.  pool_alloc, pool_free.
 * Invariants. I1 the constructor has run exactly once on every object.
 *             I2 the chain link lies behind the object, so a free object still reads as its last user left
 *             it.
 * Locks.      p->lock, innermost of the lab; the page allocator is called without it.
 */
#include "fs/vfs/pool.h"

#include "kern/mem/page.h"
#include "lib/kern/string.h"

static void **
pool_link(struct pool *p, void *obj)
{
	return (void **)((char *)obj + p->size - sizeof(void *));
}

/* Cut one fresh page into objects. Returns: the first, the rest go on the chain; NULL: no memory. */
static void *
pool_grow(struct pool *p)
{
	struct page *page = page_alloc_zero(PG_HEAP);
	if (!page)
		return NULL;
	char *base = page_virt(page);
	size_t n = PAGE_SIZE / p->size;
	for (size_t i = 0; i < n; i++)
		if (p->ctor)
			p->ctor(base + i * p->size);
	spin_lock(&p->lock);
	for (size_t i = 1; i < n; i++) {
		*pool_link(p, base + i * p->size) = p->free;
		p->free = base + i * p->size;
	}
	p->live++;
	spin_unlock(&p->lock);
	return base;
}

/* An object as its last user left it (constructed, if it is new).
 *
 * Requires: p->size <= PAGE_SIZE. Sleeps only as page_alloc does.
 * Returns:  the object, or NULL when out of memory.
 */
void *
pool_alloc(struct pool *p)
{
	spin_lock(&p->lock);
	void *obj = p->free;
	if (obj) {
		p->free = *pool_link(p, obj);
		p->live++;
	}
	spin_unlock(&p->lock);
	return obj ? obj : pool_grow(p);
}

/* Give an object back; whoever still reads it without a lock sees its last contents. */
void
pool_free(struct pool *p, void *obj)
{
	spin_lock(&p->lock);
	*pool_link(p, obj) = p->free;
	p->free = obj;
	p->live--;
	spin_unlock(&p->lock);
}
