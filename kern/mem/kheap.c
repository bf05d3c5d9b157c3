/* kheap.c - the kernel heap: pages cut into objects of a few sizes.                           (lab 2)
 *
 * Idea.       A request is rounded up to one of 14 sizes. A page (slab) holds objects of one size; its
 *             free ones form a list through their first words, the head is in the struct page. In front of
 *             that each CPU has a small stack of free objects per size, used without a lock. Larger
 *             requests get whole pages.
 *
 *                 kmalloc -> CPU's stack -> slabs with free objects -> page_alloc
 *
 * Interface.  kmalloc, kzalloc, krealloc, kfree.
 * Invariants. I1 a free object's second word is its address ^ FREE_MARK: a second kfree, and a write after
 *             kfree, are seen.
 *             I2 a slab is on its class's partial list iff it has free objects.  I3 slab: page.owner is
 *             its class; large: page.owner is NULL and the object starts the block.
 * Locks.      class->lock: its slabs. CPU stacks: own CPU with interrupts off.
 */
#include "kern/mem/kheap.h"
#include "kern/boot/initcall.h"
#include "kern/boot/ktest.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/page.h"
#include "kern/mem/pagetable.h"
#include "lib/kern/string.h"

#define NCLASS 14
#define SLAB_MAX 2048                 /* largest object cut from a page */
#define STACK 31                      /* objects a CPU keeps per class; makes struct stack a power of two */
#define FREE_MARK 0x6672656564ead00dul
#define JUNK 0xa5

#define FREE_HEAD(p) (*(struct object **)&(p)->priv[0])      /* of a slab's struct page, under class->lock */
#define NUSED(p) ((p)->priv[1])

struct object { struct object *next; uint64_t mark; };

struct class {
	struct spinlock lock;
	struct list partial;       /* [l] I2 */
	uint32_t nempty;           /* [l] slabs without any used object */
	uint32_t nslab;            /* [l] */

	uint32_t size;             /* [I] */
};

struct stack { uint64_t n; struct object *obj[STACK]; };

struct cpu_heap {                     /* [c] */
	struct stack stack[NCLASS];
	int64_t used;              /* bytes taken minus given back on this CPU: only the sum means something */
} __attribute__((aligned(4096)));

static const uint16_t sizes[NCLASS] = { 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1024, 1360, 2048 };
static struct class classes[NCLASS];
static uint8_t class_of[SLAB_MAX / 16 + 1];          /* [I] by size in 16-byte units, rounded up */
static struct cpu_heap heaps[NCPU];

static inline uint64_t
mark_of(const struct object *o)
{
	return (uint64_t)o ^ FREE_MARK;
}

/* ---- slabs (class->lock held) ---- */

/* Take an object from the first partial slab, which leaves the list when that was its last (I2). NULL: none. */
static struct object *
slab_take(struct class *c)
{
	struct page *p = list_first(&c->partial, struct page, link);
	struct object *o;

	if (!p)
		return NULL;
	o = FREE_HEAD(p);
	FREE_HEAD(p) = o->next;
	if (NUSED(p)++ == 0)
		c->nempty--;
	if (!FREE_HEAD(p))
		list_remove(&p->link);
	return o;
}

/* Put an object back into its slab. An empty slab goes back when the class has another one or `all` is
 * asked for. Returns: pages freed. */
static uint64_t
slab_put(struct class *c, struct object *o, bool all)
{
	struct page *p = page_of_virt(o);

	if (!FREE_HEAD(p))
		list_push_front(&c->partial, &p->link);
	o->next = FREE_HEAD(p);
	FREE_HEAD(p) = o;
	if (--NUSED(p) > 0)
		return 0;
	if (c->nempty == 0 && !all) {
		c->nempty++;
		return 0;
	}
	list_remove(&p->link);
	c->nslab--;
	page_unref(p);
	return 1;
}

/* Cut a fresh page into objects and make it a slab of c. */
static void
slab_add(struct class *c, struct page *p)
{
	char *base = page_virt(p);
	struct object *head = NULL, *o;

	for (uint32_t at = PAGE_SIZE / c->size * c->size; at >= c->size; at -= c->size) {
		o = (struct object *)(base + at - c->size);
		o->next = head;
		o->mark = mark_of(o);
		head = o;
	}
	p->owner = c;
	FREE_HEAD(p) = head;
	NUSED(p) = 0;
	spin_lock(&c->lock);
	list_push_back(&c->partial, &p->link);
	c->nempty++;
	c->nslab++;
	spin_unlock(&c->lock);
}

/* Fill half of the CPU's stack, and take one object. NULL: out of memory. May sleep in page_alloc. */
static __attribute__((noinline)) struct object *
class_refill(struct class *c)
{
	struct object *o, *more;
	struct cpu_heap *h;
	struct page *p;
	int k = (int)(c - classes);

	for (;;) {
		spin_lock(&c->lock);
		o = slab_take(c);
		h = &heaps[this_cpu->id];
		while (o && h->stack[k].n < STACK / 2 && (more = slab_take(c)))
			h->stack[k].obj[h->stack[k].n++] = more;
		spin_unlock(&c->lock);
		if (o)
			return o;
		if (!(p = page_alloc(PG_HEAP)))
			return NULL;
		slab_add(c, p);
	}
}

/* Requires: interrupts off. */
static __attribute__((noinline)) uint64_t
class_spill(struct class *c, struct cpu_heap *h, uint64_t keep)
{
	int k = (int)(c - classes);
	uint64_t freed = 0;

	spin_lock(&c->lock);
	while (h->stack[k].n > keep)
		freed += slab_put(c, h->stack[k].obj[--h->stack[k].n], keep == 0);
	spin_unlock(&c->lock);
	return freed;
}

/* ---- large objects: a block of pages ---- */

static void *
large_alloc(size_t n)
{
	int order = 0;
	struct page *p;

	while (order <= PAGE_MAX_ORDER && PAGE_SIZE << order < n)
		order++;
	if (!(p = page_alloc_order(order, PG_HEAP)))
		return NULL;
	p->owner = NULL;
	return page_virt(p);
}

/* ---- what everybody calls ---- */

static __attribute__((noinline)) void *
object_junk(struct object *o, unsigned k, size_t n)
{
	if (mem_watcher)
		mem_watcher->object(o, n, sizes[k]);
	return memset(o, JUNK, n);
}

static __attribute__((noinline)) void
object_spoiled(struct object *o, unsigned k)
{
	panic("heap: object %p of %u bytes was written to after kfree", (void *)o, sizes[k]);
}

/* Hand a free object of class k to its new owner, who asked for n bytes. */
static inline void *
object_give(struct object *o, unsigned k, size_t n)
{
	if (__builtin_expect(o->mark != mark_of(o), 0))
		object_spoiled(o, k);
	o->mark = 0;
	if (__builtin_expect(mem_junk, 0))
		return object_junk(o, k, n);
	return o;
}

/* The CPU's stack is empty. */
static __attribute__((noinline)) void *
kmalloc_slow(unsigned k, size_t n)
{
	struct object *o = class_refill(&classes[k]);
	bool on;

	if (!o)
		return NULL;
	on = irq_save();
	heaps[this_cpu->id].used += sizes[k];
	irq_restore(on);
	return object_give(o, k, n);
}

/* Returns: n bytes, 16-aligned (page-aligned if n > 2048), contents junk; NULL when n > 4 MiB or memory is
 * out. May sleep when memory is short and no spinlock is held. */
void *
kmalloc(size_t n)
{
	struct cpu_heap *h;
	struct object *o;
	unsigned k;
	bool on;

	if (__builtin_expect(n > SLAB_MAX, 0))
		return large_alloc(n);
	k = class_of[(n + 15) / 16];
	on = irq_save();
	h = &heaps[this_cpu->id];
	if (__builtin_expect(h->stack[k].n == 0, 0)) {
		irq_restore(on);
		return kmalloc_slow(k, n);
	}
	o = h->stack[k].obj[--h->stack[k].n];
	h->used += sizes[k];
	irq_restore(on);
	return object_give(o, k, n);
}

void *
kzalloc(size_t n)
{
	void *p = kmalloc(n);

	if (p)
		memset(p, 0, n);
	return p;
}

/* Bytes that fit into the object. */
static size_t
object_size(const void *p)
{
	struct page *pg = page_of_virt(p);

	return pg->owner ? ((struct class *)pg->owner)->size : PAGE_SIZE << pg->order;
}

/* As the C library's. On failure the old object stays. */
void *
krealloc(void *p, size_t n)
{
	size_t old = p ? object_size(p) : 0;
	void *q;

	if (p && mem_watcher && old <= SLAB_MAX)
		mem_watcher->object(p, n < old ? n : old, old);
	if (p && n <= old && (n > old / 2 || n == 0))
		return p;
	if (!(q = kmalloc(n)))
		return NULL;
	if (p) {
		memcpy(q, p, old < n ? old : n);
		kfree(p);
	}
	return q;
}

/* Not an object of a slab that is in use: a large one, or a mistake. */
static __attribute__((noinline)) void
kfree_slow(void *ptr, struct page *p)
{
	if (p->kind != PG_HEAP || (uint64_t)ptr % 16 != 0)
		panic("kfree: %p is not a heap object, or its page was given back already", ptr);
	if (p->owner)
		panic("kfree: object %p of %u bytes was given back already", ptr, ((struct class *)p->owner)->size);
	page_unref(p);
}

/* The CPU's stack for c is full. Requires: interrupts off; turns them on if `on`. */
static __attribute__((noinline)) void
stack_full(struct class *c, struct cpu_heap *h, bool on)
{
	class_spill(c, h, STACK / 2);
	irq_restore(on);
}

/* Onto this CPU's stack. */
static inline void
object_put(struct class *c, struct object *o)
{
	bool on;
	struct cpu_heap *h;
	struct stack *st;

	o->mark = mark_of(o);
	on = irq_save();
	h = &heaps[this_cpu->id];
	st = &h->stack[c - classes];
	st->obj[st->n++] = o;
	h->used -= c->size;
	if (__builtin_expect(st->n == STACK, 0))
		stack_full(c, h, on);
	else
		irq_restore(on);
}

static __attribute__((noinline)) void
object_put_junk(struct class *c, struct object *o)
{
	if (mem_watcher)
		mem_watcher->object(o, c->size, c->size);
	memset(o, JUNK, c->size);
	if (mem_watcher)
		mem_watcher->object(o, 0, c->size);
	object_put(c, o);
}

/* Give an object back. Panics: not from kmalloc, or given back already. From any context. */
void
kfree(void *ptr)
{
	struct object *o = ptr;
	struct page *p = page_of_virt(ptr);
	struct class *c;

	if (!ptr)
		return;
	c = p->owner;
	if (__builtin_expect(p->kind != PG_HEAP || !c || (uint64_t)ptr % 16 != 0 || o->mark == mark_of(o), 0))
		kfree_slow(ptr, p);
	else if (__builtin_expect(mem_junk, 0))
		object_put_junk(c, o);
	else
		object_put(c, o);
}

/* Bytes in live objects of up to 2 KiB, rounded up to their sizes. */
size_t
kheap_used(void)
{
	int64_t n = 0;

	for (int i = 0; i < NCPU; i++)
		n += __atomic_load_n(&heaps[i].used, __ATOMIC_RELAXED);
	return (size_t)n;
}

/* Give back this CPU's stacks and all empty slabs. Returns: pages freed. */
uint64_t
kheap_drain(void)
{
	uint64_t freed = 0;

	for (int k = 0; k < NCLASS; k++) {
		struct class *c = &classes[k];
		bool on = irq_save();

		freed += class_spill(c, &heaps[this_cpu->id], 0);
		spin_lock(&c->lock);
		list_for_each_safe(p, &c->partial, struct page, link) {
			if (NUSED(p) > 0)
				continue;
			list_remove(&p->link);
			c->nempty--;
			c->nslab--;
			page_unref(p);
			freed++;
		}
		spin_unlock(&c->lock);
		irq_restore(on);
	}
	return freed;
}

static uint64_t
heap_reclaim(uint64_t want)
{
	(void)want;
	return kheap_drain();
}

/* Bytes that nobody uses, wherever they are cached: what ktest compares around each test. */
static uint64_t
unused_bytes(void)
{
	uint64_t n = page_count_free() + pt_cached_pages() + kstack_cached_pages();

	for (int k = 0; k < NCLASS; k++)
		n += classes[k].nslab;
	return n * PAGE_SIZE - kheap_used();
}

static void
kheap_init(void)
{
	for (int k = 0, i = 0; k < NCLASS; k++) {
		spin_init(&classes[k].lock, "heap class", RANK(2, 20));
		list_init(&classes[k].partial);
		classes[k].size = sizes[k];
		for (; i <= sizes[k] / 16; i++)
			class_of[i] = (uint8_t)k;
	}
	reclaim_register(heap_reclaim);
	ktest_set_leak_hook(unused_bytes);
}

INITCALL(2, kheap_init);
