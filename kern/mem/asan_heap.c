/* asan_heap.c - tells asan.c what lives in memory (SAN=1).                                    (lab 2)
 *
 * Idea.       The page allocator and the heap report every birth and death (mem_watch). Pages of which all
 *             may be touched need no shadow; all freed pages share one; only pages that hold heap objects
 *             have a shadow of their own.
 *
 *                 table[frame] --> NULL (all lives) | &freed | a struct asan_page from the pool
 *
 * Invariants. I1 a frame's entry is changed only by who owns the frame: no lock is needed to read it there.
 *             I2 when memory for shadows runs out, an object goes unwatched; never the other way round.
 * Locks.      pool_lock: the pool's list.
 */
#include "kern/boot/asan.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/page.h"

#define BLOCK_FRAMES (1ul << 19)      /* frames whose entries fill the largest block of pages */
#define POOL_FIRST 256                /* pages of shadows from the start: tests count pages, and the pool should not grow in one */
#define NBLOCK 64                     /* 128 GiB; what lies above goes unwatched */

struct pooled { struct pooled *next; };

static struct asan_page **table[NBLOCK];             /* [I] after boot */
static struct asan_page freed;                       /* [I] all zero */
static struct pooled *pool;                          /* pool_lock */
static struct spinlock pool_lock = SPINLOCK("asan", RANK(1, 60));

/* Where the entry for the page at va is. NULL: no page of the direct map that we watch. */
static struct asan_page **
entry_of(uint64_t va)
{
	uint64_t frame = V2P(va) >> PAGE_SHIFT;

	if (va < DIRECTMAP || va >= KDYN_BASE || frame >= NBLOCK * BLOCK_FRAMES || !table[frame / BLOCK_FRAMES])
		return NULL;
	return &table[frame / BLOCK_FRAMES][frame % BLOCK_FRAMES];
}

static const struct asan_page *
shadow_of(uint64_t va)
{
	struct asan_page **e = entry_of(va);

	return e ? *e : NULL;
}

/* ---- shadows ---- */

static void
pool_put(void *p)
{
	struct pooled *o = p;

	spin_lock(&pool_lock);
	o->next = pool;
	pool = o;
	spin_unlock(&pool_lock);
}

/* A page full of shadows: one is returned, the others go into the pool. NULL: no memory. */
static struct pooled *
pool_grow(void)
{
	struct page *p = page_alloc(PG_KERNEL);

	for (uint64_t at = sizeof freed; p && at < PAGE_SIZE; at += sizeof freed)
		pool_put((char *)page_virt(p) + at);
	return p ? page_virt(p) : NULL;
}

/* A shadow that says `all` for every grain. NULL: no memory. */
static struct asan_page *
pool_get(uint8_t all)
{
	struct pooled *o;

	spin_lock(&pool_lock);
	if ((o = pool))
		pool = o->next;
	spin_unlock(&pool_lock);
	if (!o && !(o = pool_grow()))
		return NULL;
	struct asan_page *s = (struct asan_page *)o;
	for (size_t i = 0; i < sizeof s->grain; i++)
		s->grain[i] = all;
	return s;
}

/* Give the page at va a common shadow, or none. */
static void
entry_set(uint64_t va, struct asan_page *to)
{
	struct asan_page **e = entry_of(va), *old;

	if (!e)
		return;
	old = *e;
	*e = to;
	if (old && old != &freed)
		pool_put(old);
}

/* ---- births and deaths ---- */

static void
pages_born(struct page *p)
{
	for (uint64_t i = 0; i < 1ul << p->order; i++)
		entry_set((uint64_t)page_virt(p + i), NULL);
}

static void
pages_died(struct page *p)
{
	for (uint64_t i = 0; i < 1ul << p->order; i++)
		entry_set((uint64_t)page_virt(p + i), &freed);
}

/* Of the object's `size` bytes, which lie in one page and begin and end at a grain, the first n may be touched. */
static void
object_set(void *object, size_t n, size_t size)
{
	uint64_t at = (uint64_t)object;
	struct asan_page **e = entry_of(at);

	if (!e || (!*e && !(*e = pool_get(ASAN_GRAIN))))
		return;
	for (uint8_t *g = &(*e)->grain[at % PAGE_SIZE / ASAN_GRAIN]; size > 0; size -= ASAN_GRAIN, g++) {
		*g = (uint8_t)(n < ASAN_GRAIN ? n : ASAN_GRAIN);
		n -= *g;
	}
}

static const struct mem_watch watch = { .pages_born = pages_born, .pages_died = pages_died, .object = object_set };

static void
asan_init(void)
{
	uint64_t frames = page_frames();

	for (uint64_t b = 0; b < NBLOCK && b * BLOCK_FRAMES < frames; b++) {
		struct page *p = page_alloc_order(PAGE_MAX_ORDER, PG_KERNEL);

		if (!p)
			break;
		for (uint64_t i = 0; i < 1ul << PAGE_MAX_ORDER; i++)
			page_zero(p + i);
		table[b] = page_virt(p);
	}
	for (int i = 0; i < POOL_FIRST; i++)
		pool_put(pool_grow());
	mem_watch_register(&watch);
	asan_register(shadow_of);
	kprintf("asan: watching the heap and freed pages\n");
}

INITCALL(2, asan_init);
