/* observe_mem.c - what lab 2 shows the grader.                                                (lab 2)
 *
 * Idea.       Pages, mappings and objects are asked for and given back as the seed says, and every answer is
 *             told. The judge (labs/02-memory/test_memory.py) keeps the books: what lies where, what must be
 *             free; and it reads free lists, page tables and slabs from the machine's memory when all is done.
 */
#include "kern/boot/bootinfo.h"
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/mem/page.h"
#include "kern/mem/pagetable.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

/* No device may interrupt: without lab 3 nobody would answer. */
static void
devices_quiet(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static const char *
on_off(void)
{
	return irq_enabled() ? "on" : "off";
}

static void
count_show(const char *when)
{
	observe("%s: free %lu", when, page_count_free());
}

/* ---- what is free after the boot ---- */

static void
machine_show(void)
{
	for (int i = 0; i < bootinfo.nmem; i++)
		observe("range %#lx %#lx %d", bootinfo.mem[i].base, bootinfo.mem[i].len, (int)bootinfo.mem[i].type);
	observe("archive %#lx %#lx", bootinfo.archive_phys, bootinfo.archive_size);
	observe("total %lu free %lu", page_count_total(), page_count_free());
}

OBSERVE(2, memory)
{
	machine_show();
}

/* ---- blocks of pages ---- */

#define NTAKEN 48
static struct page *held[NTAKEN];

static void
block_take_or_give(int k)
{
	int order = (int)observe_below(observe_below(4) ? 4 : PAGE_MAX_ORDER + 1);

	if (held[k]) {
		observe("give %d", k);
		page_unref(held[k]);
		held[k] = NULL;
	} else if ((held[k] = page_alloc_order(order, PG_KERNEL))) {
		observe("take %d order %d at %#lx", k, order, page_phys(held[k]));
	} else {
		observe("take %d order %d: none", k, order);
	}
}

/* Largest blocks until there is none: what the magazine keeps comes back to the lists. */
static void
largest_blocks(void)
{
	static struct page *big[64];
	int n = 0;

	while (n < 64 && (big[n] = page_alloc_order(PAGE_MAX_ORDER, PG_KERNEL)))
		n++;
	observe("largest blocks %d", n);
	while (n > 0)
		page_unref(big[--n]);
}

OBSERVE(2, page_blocks)
{
	machine_show();
	for (int i = 0; i < 600; i++)
		block_take_or_give((int)observe_below(NTAKEN));
	struct page *p = page_alloc_order(PAGE_MAX_ORDER + 1, PG_KERNEL);

	observe("order %d: %s", PAGE_MAX_ORDER + 1, p ? "a block" : "none");
	count_show("taken");
	for (int k = 0; k < NTAKEN; k++)
		if (held[k])
			page_unref(held[k]);
	count_show("given");
	largest_blocks();
}

/* ---- single pages, all of them ---- */

/* Every page, linked through struct page; tells eight a record. Returns: how many. */
static uint64_t
pages_take_all(struct list *all)
{
	char text[200];
	uint64_t n = 0;
	struct page *p;
	size_t at = 0;

	for (; (p = page_alloc(PG_KERNEL)); n++) {
		list_push_back(all, &p->link);
		at += (size_t)snprintf(text + at, sizeof text - at, " %lx", page_phys(p));
		if (n % 8 == 7) {
			observe("pages%s", text);
			at = 0;
		}
	}
	if (n % 8)
		observe("pages%s", text);
	return n;
}

OBSERVE(2, page_exhaust)
{
	struct list all;
	uint64_t n;

	list_init(&all);
	machine_show();
	n = pages_take_all(&all);
	observe("took %lu", n);
	count_show("taken");
	observe("a block: %s", page_alloc_order(1, PG_KERNEL) ? "yes" : "none");
	observe("an object: %s", kmalloc(100) ? "yes" : "none");
	list_for_each_safe(p, &all, struct page, link) {
		list_remove(&p->link);
		page_unref(p);
	}
	count_show("given");
	largest_blocks();
}

/* ---- references ---- */

#define NREF 12

static void
ref_step(struct page **page, int k)
{
	if (!page[k]) {
		page[k] = page_alloc(PG_KERNEL);
		observe("alloc %d: refs %u, interrupts %s", k, page[k] ? page_refs(page[k]) : 0, on_off());
	} else if (observe_below(2)) {
		page_ref(page[k]);
		observe("ref %d: refs %u", k, page_refs(page[k]));
	} else {
		bool last = page_refs(page[k]) == 1;

		page_unref(page[k]);
		observe("unref %d: refs %u, interrupts %s", k, page_refs(page[k]), on_off());
		if (last)
			page[k] = NULL;
	}
}

OBSERVE(2, page_refs)
{
	static struct page *page[NREF];

	devices_quiet();
	count_show("start");
	for (int i = 0; i < 400; i++) {
		if (i / 20 % 2)
			irq_on();
		else
			irq_off();
		ref_step(page, (int)observe_below(NREF));
		if (i % 4 == 0)
			count_show("now");
	}
	irq_off();
}

OBSERVE(2, page_underflow)
{
	struct page *p = page_alloc(PG_KERNEL);

	uint64_t turns = observe_below(1000);

	for (uint64_t n = turns; n > 0; n--) {
		page_ref(p);
		page_unref(p);
	}
	observe("page %lx after %lu turns", page_phys(p), turns);
	page_unref(p);
	observe("once");
	page_unref(p);
	observe("twice");
}

/* ---- page tables ---- */

#define NMAP 40
static struct pagetable tree;

/* A user address; near others (8 regions of 2 MiB) or anywhere. */
static uint64_t
random_va(void)
{
	uint64_t va = 0;

	if (observe_below(3) == 0)
		return observe_below(USER_END >> PAGE_SHIFT) << PAGE_SHIFT;
	for (int level = 3; level > 0; level--)
		va += observe_below(2) << (PAGE_SHIFT + 9 * level);
	return va + (observe_below(512) << PAGE_SHIFT);
}

static pte_t
random_flags(void)
{
	static const pte_t kinds[] = { PTE_NX, PTE_NX | PTE_W, PTE_U, PTE_U | PTE_NX | PTE_W, PTE_U | PTE_NX,
		PTE_U | PTE_NX | PTE_COW };

	return kinds[observe_below(6)];
}

/* Map a page that does not exist: nobody will touch it. */
static void
map_one(uint64_t va)
{
	uint64_t pa = observe_below(1ul << 34) << PAGE_SHIFT;
	pte_t flags = random_flags(), *e = pt_walk(&tree, va, false);

	if (e && *e & PTE_P) {
		observe("is %#lx: %#lx", va, *e);
		return;
	}
	observe("map %#lx to %#lx flags %#lx: %d", va, pa, flags, pt_map(&tree, va, pa, flags));
}

OBSERVE(2, map_walk)
{
	observe("init %d", pt_init(&tree));
	for (int i = 0; i < NMAP; i++)
		map_one(random_va());
	observe("root %#lx kernel %#lx", tree.root, kernel_pt.root);
	for (int i = 0; i < NMAP; i++)
		observe("look %#lx", random_va());
}

static void
map_step(uint64_t va)
{
	pte_t *e;

	switch (observe_below(3)) {
	case 0:
		map_one(va);
		break;
	case 1:
		observe("unmap %#lx: %#lx", va, pt_unmap(&tree, va));
		break;
	default:
		e = pt_walk(&tree, va, false);
		if (e)
			observe("find %#lx: %#lx", va, *e);
		else
			observe("find %#lx: no table", va);
	}
}

OBSERVE(2, map_unmap)
{
	static uint64_t vas[10];

	observe("init %d", pt_init(&tree));
	for (int i = 0; i < 10; i++)
		vas[i] = random_va();
	for (int i = 0; i < 300; i++)
		map_step(observe_below(8) ? vas[observe_below(10)] : random_va());
	pt_destroy(&tree);
}

/* What may not be asked for. arg: executable and writable, or there is something already. */
OBSERVE(2, map_refused)
{
	uint64_t va = random_va();

	pt_init(&tree);
	pt_map(&tree, va, 0x1000, PTE_NX);
	observe("start %lx", va);
	if (strcmp(observe_arg(), "twice") == 0)
		pt_map(&tree, va, 0x2000, PTE_NX);
	else
		pt_map(&tree, va ^ PAGE_SIZE, 0x2000, PTE_W);
	observe("went on");
}

/* The processor's opinion: two addresses, one page. */
OBSERVE(2, map_loaded)
{
	uint64_t a = random_va(), b = random_va() ^ 1ul << 46;
	struct page *p = page_alloc_zero(PG_ANON), *q = page_alloc_zero(PG_ANON);
	volatile uint64_t *in_p = page_virt(p), *in_q = page_virt(q);

	pt_init(&tree);
	pt_map(&tree, a, page_phys(p), PTE_W | PTE_NX);
	pt_map(&tree, b, page_phys(p), PTE_W | PTE_NX);
	pt_load(&tree);
	for (int i = 0; i < 5; i++) {
		uint64_t at = observe_below(512), v = observe_random();

		((volatile uint64_t *)a)[at] = v;
		observe("wrote %lx: there %lx, page %lx", v, ((volatile uint64_t *)b)[at], in_p[at]);
	}
	pt_unmap(&tree, a);
	tlb_flush_page(&tree, a);
	pt_map(&tree, a, page_phys(q), PTE_W | PTE_NX);
	*(volatile uint64_t *)a = 77;
	observe("moved: page %lu, other %lx", *in_q, in_p[0] == 77 ? 1ul : 0ul);
	pt_load(&kernel_pt);
	pt_destroy(&tree);
	page_unref(p);
	page_unref(q);
}

/* The first error of mapping pages far from each other; `tries` says after how many. */
static int
map_until(uint64_t *tries)
{
	int err = 0;

	for (*tries = 0; *tries < 1000 && err == 0; ++*tries)
		err = pt_map(&tree, *tries << 30, 0x1000, PTE_NX);
	return err;
}

/* No page is left but the few that are told, then even those are not enough. */
OBSERVE(2, map_no_memory)
{
	uint64_t tries, spare = 1 + observe_below(12);
	struct list all;

	list_init(&all);
	observe("init %d", pt_init(&tree));
	for (struct page *p; (p = page_alloc(PG_KERNEL)); )
		list_push_back(&all, &p->link);
	for (uint64_t i = 0; i < spare; i++)
		page_unref(list_entry(list_pop_front(&all), struct page, link));
	observe("spare %lu", spare);
	int err = map_until(&tries);

	observe("tries %lu: %d", tries, err);
	list_for_each_safe(p, &all, struct page, link)
		page_unref(p);
	pt_destroy(&tree);
}

/* ---- visits ---- */

static uint64_t visits_left;

static int
visit(pte_t *pte, uint64_t va, void *arg)
{
	(void)arg;
	observe("visit %#lx: %#lx", va, *pte);
	return --visits_left == 0 ? 4711 : 0;
}

OBSERVE(2, visits)
{
	static uint64_t vas[NMAP];

	observe("init %d", pt_init(&tree));
	for (int i = 0; i < NMAP; i++)
		map_one(vas[i] = random_va());
	for (int i = 0; i < 12; i++) {
		uint64_t lo = vas[observe_below(NMAP)], hi = vas[observe_below(NMAP)];

		visits_left = i % 3 == 2 ? 1 + observe_below(5) : 1000;
		if (i % 3 == 0)
			lo = 0, hi = i ? 1ul << 39 : USER_END;
		else if (lo > hi)
			lo ^= hi, hi ^= lo, lo ^= hi;
		observe("from %#lx to %#lx at most %lu", lo, hi, visits_left);
		observe("result %d", pt_each(&tree, lo, hi, visit, NULL));
	}
	pt_destroy(&tree);
}

/* ---- trees come and go ---- */

static int
visit_count(pte_t *pte, uint64_t va, void *arg)
{
	(void)pte;
	(void)va;
	++*(uint64_t *)arg;
	return 0;
}

OBSERVE(2, tear_down)
{
	for (int round = 0; round < 24; round++) {
		uint64_t found = 0, made = 0, n = 1 + observe_below(60);

		if (pt_init(&tree) < 0)
			break;
		pt_each(&tree, 0, USER_END, visit_count, &found);
		for (uint64_t i = 0; i < n; i++) {
			uint64_t va = (i << 21) + (observe_below(512) << PAGE_SHIFT);

			if (!(pt_walk(&tree, i << 21, false)))
				pt_map(&tree, va, 0x1000, PTE_NX);
		}
		pt_each(&tree, 0, USER_END, visit_count, &made);
		pt_destroy(&tree);
		observe("round %d: found %lu, then %lu, free and cached %lu", round, found, made,
			page_count_free() + pt_cached_pages());
	}
}

/* ---- the heap ---- */

#define NOBJECT 120

struct object { uint8_t *p; size_t n; uint8_t tag; };
static struct object objects[NOBJECT];

/* Byte i of an object whose first is `tag`. */
static void
object_fill(struct object *o)
{
	for (size_t i = 0; i < o->n; i++)
		o->p[i] = (uint8_t)(o->tag + i);
}

/* How many bytes are still what object_fill wrote? Up to the first that is not. */
static size_t
object_good(const struct object *o, size_t n)
{
	size_t i = 0;

	while (i < n && o->p[i] == (uint8_t)(o->tag + i))
		i++;
	return i;
}

static size_t
random_size(void)
{
	return observe_below(8) ? 1 + observe_below(2100) : 1 + observe_below(20000);
}

static void
object_step(int k)
{
	struct object *o = &objects[k];

	if (o->p) {
		observe("free %d good %lu", k, object_good(o, o->n));
		kfree(o->p);
		o->p = NULL;
		return;
	}
	o->n = random_size();
	o->tag = (uint8_t)observe_random();
	o->p = kmalloc(o->n);
	observe("alloc %d size %lu at %#lx interrupts %s", k, o->n, o->p ? V2P(o->p) : 0, on_off());
	if (o->p)
		object_fill(o);
}

OBSERVE(2, heap_objects)
{
	devices_quiet();
	machine_show();
	for (int i = 0; i < 1500; i++) {
		if (i / 50 % 2)
			irq_on();
		else
			irq_off();
		object_step((int)observe_below(NOBJECT));
	}
	irq_off();
}

/* Objects of the size that arg= says, in several slabs; half are given back. The rest stays for the judge. */
OBSERVE(2, heap_slabs)
{
	static void *p[400];
	size_t n = observe_number(0);

	for (int i = 0; i < 400; i++)
		p[i] = kmalloc(n);
	for (int i = 0; i < 400; i++) {
		if (observe_below(2)) {
			kfree(p[i]);
			p[i] = NULL;
		}
	}
	for (int i = 0; i < 400; i++)
		if (p[i])
			observe("object %#lx size %lu", (uint64_t)p[i], n);
}

static void
small_step(struct object *o)
{
	if (o->p) {
		kfree(o->p);
		o->p = NULL;
	} else {
		o->n = 1 + observe_below(2048);
		o->p = kmalloc(o->n);
	}
}

OBSERVE(2, heap_gives_back)
{
	kheap_drain();
	observe("start: free %lu used %lu", page_count_free(), kheap_used());
	for (int round = 0; round < 6; round++) {
		size_t bytes = 0;

		for (int i = 0; i < 600; i++)
			small_step(&objects[observe_below(NOBJECT)]);
		for (int k = 0; k < NOBJECT; k++)
			bytes += objects[k].p ? objects[k].n : 0;
		observe("asked for: %lu, used %lu", bytes, kheap_used());
		for (int k = 0; k < NOBJECT; k++) {
			kfree(objects[k].p);
			objects[k].p = NULL;
		}
		observe("before: used %lu, empty slabs and stacks %lu", kheap_used(), kheap_drain());
		observe("after: free %lu used %lu", page_count_free(), kheap_used());
	}
}

/* arg: the mistake. */
OBSERVE(2, heap_misuse)
{
	const char *how = observe_arg();
	size_t n = 16 + observe_below(1000);
	uint64_t *p = kmalloc(n), *q = kmalloc(5000);

	observe("object %p of %lu bytes, large %p", (void *)p, n, (void *)q);
	kfree(p);
	observe("start");
	if (strcmp(how, "twice") == 0) {
		kfree(p);
	} else if (strcmp(how, "late") == 0) {
		for (int i = 0; i < 200; i++)
			kfree(kmalloc(8));
		kfree(p);
	} else if (strcmp(how, "large") == 0) {
		kfree(q);
		kfree(q);
	} else if (strcmp(how, "inside") == 0) {
		kfree((char *)q + 8);
	}
	observe("went on");
}

OBSERVE(2, heap_realloc)
{
	struct object *o = objects;

	for (int i = 0; i < 120; i++, o = &objects[observe_below(8)]) {
		size_t old = o->p ? o->n : 0, n = random_size();

		if (observe_below(12) == 0)
			n += 5ul << 20 << observe_below(20);
		uint8_t *p = krealloc(o->p, n);
		size_t kept = old < n ? old : n;

		if (!p) {
			observe("realloc %lu to %lu: none, good %lu", old, n, o->p ? object_good(o, old) : 0);
			continue;
		}
		o->p = p;
		observe("realloc %lu to %lu: at %lu good %lu", old, n, V2P(p) % 16, object_good(o, kept));
		o->n = n;
		o->tag = (uint8_t)observe_random();
		object_fill(o);
	}
	for (int k = 0; k < 8; k++)
		kfree(objects[k].p);
	kheap_drain();
	observe("used %lu", kheap_used());
}
