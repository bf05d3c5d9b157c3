/* observe_vm.c - lab 5 shown to the grader: mappings, faults, and who shares which page.       (lab 5)
 *
 * Idea.       Address spaces that nothing runs in are mapped, touched, cloned and cut at random. Reported is what
 *             was done, and what mappings and page-table entries are there afterwards; what should be there is
 *             known to the judge (labs/05-vm/test_vm.py). It draws the same numbers again: therefore they are
 *             drawn one per expression, C leaves open which of two arguments comes first.
 * Interface.  OBSERVE (kern/boot/observe.h).
 */
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/trap/trap.h"
#include "kern/vm/vm.h"
#include "lib/abi/mman.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define BASE 0x10000000ul              /* where most of it happens: ARENA pages from here on */
#define ARENA 48

static const int RW = PROT_READ | PROT_WRITE;
static const int FIXED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

static uint32_t
below(uint32_t n)
{
	return observe_random() % n;
}

static struct aspace *
space_new(void)
{
	struct aspace *as;

	if (aspace_new(&as) < 0)
		panic("no memory for the grader's address space");
	return as;
}

/* Frames that programs' memory is made of, in all address spaces together. */
static uint64_t
anon_frames(void)
{
	uint64_t n = 0, end = (page_count_total() + 8192) * PAGE_SIZE;

	for (uint64_t pa = 0; pa < end; pa += PAGE_SIZE) {
		struct page *p = page_of_phys(pa);

		n += p && p->kind == PG_ANON;
	}
	return n;
}

/* ---- what is there ---- */

static int
show_mapping(const struct mapping *m, void *arg)
{
	(void)arg;
	observe("mapping %lx %lx %d", m->lo, m->hi, m->prot);
	return 0;
}

static void
show_mappings(struct aspace *as)
{
	mm_each(as, show_mapping, NULL);
	observe("total %lu", mm_total_pages(as));
}

static int
show_entry(pte_t *pte, uint64_t va, void *arg)
{
	struct page *p = page_of_phys(*pte & PTE_ADDR);
	const uint64_t *word = page_virt(p);
	uint64_t or = 0;

	for (uint64_t i = 1; i < PAGE_SIZE / 8; i++)
		or |= word[i];
	observe("entry %d %lx: frame %lx w %d x %d u %d refs %u anon %d value %lu rest %lx", *(int *)arg, va, page_phys(p),
		!!(*pte & PTE_W), !(*pte & PTE_NX), !!(*pte & PTE_U), page_refs(p), p->kind == PG_ANON, word[0], or);
	return 0;
}

static void
show_entries(struct aspace *as, int id)
{
	pt_each(&as->pt, 0, USER_END, show_entry, &id);
	observe("rss %d %lu", id, as->rss);
}

/* ---- mappings ---- */

static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
	PROT_READ | PROT_WRITE | PROT_EXEC, PROT_WRITE, PROT_EXEC };

/* Map or unmap a piece of the arena; id >= 0: the report says whose. */
static void
change_mappings(struct aspace *as, int id)
{
	uint64_t lo = BASE + below(ARENA) * PAGE_SIZE, len = (1 + below(below(4) ? 6 : 30)) * PAGE_SIZE;
	int prot = prots[below(4)];
	char who[8] = "";
	long r;

	if (id >= 0)
		snprintf(who, sizeof who, "on %d ", id);
	if (below(3)) {
		r = mm_map(as, lo, len, prot, FIXED, NULL, 0);
		observe("%smap %lx+%lx prot %d: %lx", who, lo, len, prot, r);
	} else {
		mutex_lock(&as->lock);
		r = mm_unmap(as, lo, lo + len);
		mm_unlock(as);
		observe("%sunmap %lx+%lx: %ld", who, lo, len, r);
	}
}

static void
touch(struct aspace *as, uint64_t va, int pf)
{
	int err = mm_fault(as, va, pf);

	observe("touch %lx for %d: %d", va, pf, err);
}

OBSERVE(5, map_sequences)
{
	for (int round = 0; round < 3; round++) {
		struct aspace *as = space_new();

		observe("round");
		for (int i = 0; i < 50; i++) {
			change_mappings(as, -1);
			show_mappings(as);
			for (int k = 0; k < 3; k++) {
				uint64_t page = BASE + below(2 * ARENA) * PAGE_SIZE, va = page + below(PAGE_SIZE);

				touch(as, va, below(2) ? PF_W : 0);
			}
		}
		show_entries(as, 0);
		aspace_put(as);
		observe("frames left %lu", anon_frames());
	}
}

/* Up to `slots` mappings that keep out of each other's way, in an order that jumps. None is unmapped. */
static void
map_apart(struct aspace *as, uint32_t slots, uint32_t longest)
{
	uint32_t first = below(slots), n = below(slots + 1);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = (first + 5 * i) % slots * (longest + 2) + below(3), len = 1 + below(longest);

		mm_map(as, BASE + at * PAGE_SIZE, len * PAGE_SIZE, prots[below(4)], FIXED, NULL, 0);
	}
}

static void
find_one(struct aspace *as)
{
	uint64_t va = BASE - 2 * PAGE_SIZE + below((ARENA + 32) * PAGE_SIZE);
	struct mapping *m;
	int i;

	if (below(2))
		va = PAGE_DOWN(va);
	mutex_lock(&as->lock);
	i = mm_find(as, va);
	m = mm_lookup(as, va);
	mm_unlock(as);
	observe("find %lx: %d, lookup %lx", va, i, m ? m->lo : 0);
}

OBSERVE(5, find_mapping)
{
	for (int round = 0; round < 6; round++) {
		struct aspace *as = space_new();

		observe("round");
		map_apart(as, 13, 4);
		show_mappings(as);
		for (int i = 0; i < 60; i++)
			find_one(as);
		aspace_put(as);
	}
}

/* How long a search takes, among few mappings and among many: under icount, nanoseconds are instructions. */
OBSERVE(5, find_cost)
{
	for (uint64_t n = 60; n <= 960; n *= 4) {
		struct aspace *as = space_new();
		uint64_t start, time = 0, sum = 0;

		for (uint64_t i = 0; i < n; i++)
			mm_map(as, BASE + i * 2 * PAGE_SIZE, PAGE_SIZE, RW, FIXED, NULL, 0);
		mutex_lock(&as->lock);
		for (int i = 0; i < 100; i++) {
			uint64_t va = BASE + below(2 * n) * PAGE_SIZE;

			start = rdtsc();
			sum += (uint64_t)mm_find(as, va);
			time += rdtsc() - start;
		}
		mm_unlock(as);
		observe("among %lu sum %lu time %lu", n, sum, time);
		aspace_put(as);
	}
}

OBSERVE(5, find_room)
{
	for (int round = 0; round < 8; round++) {
		struct aspace *as = space_new();
		uint64_t top = BASE + ARENA * PAGE_SIZE, hint, len, at;

		observe("round");
		map_apart(as, 7, 5);
		if (below(2)) {
			uint64_t lo = MM_LOWEST + below(3) * PAGE_SIZE;

			mm_map(as, lo, BASE - lo - below(4) * PAGE_SIZE, PROT_NONE, FIXED, NULL, 0);
		}
		vm_of(as)->mmap_top = top;
		show_mappings(as);
		observe("top %lx lowest %lx", top, MM_LOWEST);
		for (int i = 0; i < 40; i++) {
			hint = below(3) ? 0 : BASE + below(ARENA + 8) * PAGE_SIZE;
			hint = below(9) ? hint : below(30) * PAGE_SIZE;
			len = (1 + below(below(3) ? 6 : ARENA + 8)) * PAGE_SIZE;
			mutex_lock(&as->lock);
			at = mm_find_area(as, hint, len);
			mm_unlock(as);
			observe("area hint %lx len %lx: %lx", hint, len, at);
		}
		aspace_put(as);
	}
}

/* ---- faults ---- */

OBSERVE(5, access_rules)
{
	static const int accesses[] = { 0, PF_W, PF_I };
	int zero = 0;

	for (int round = 0; round < 60; round++) {
		struct aspace *as = space_new();
		int prot = prots[below(7)];

		observe("round");
		observe("prot %d", prot);
		mm_map(as, BASE, PAGE_SIZE, prot, FIXED, NULL, 0);
		for (int i = 0; i < 6; i++) {
			uint64_t va = BASE + below(PAGE_SIZE);

			touch(as, va, accesses[below(3)]);
			pt_each(&as->pt, 0, USER_END, show_entry, &zero);
		}
		touch(as, BASE - 1, 0);
		touch(as, BASE + PAGE_SIZE, accesses[below(3)]);
		aspace_put(as);
	}
}

/* Take memory until `spare` pages are left; junk: fill it with something. */
static void
hoard(struct list *all, uint64_t spare, bool junk)
{
	struct page *p;

	list_init(all);
	while (page_count_free() > spare && (p = page_alloc(PG_KERNEL))) {
		if (junk)
			memset(page_virt(p), 0xa5, PAGE_SIZE);
		list_push_back(all, &p->link);
	}
}

static void
hoard_end(struct list *all)
{
	for (struct list *l; (l = list_pop_front(all));)
		page_unref(list_entry(l, struct page, link));
}

OBSERVE(5, zero_on_demand)
{
	struct list all;

	for (int round = 0; round < 6; round++) {
		struct aspace *as = space_new();
		uint64_t at = BASE + below(600) * PAGE_SIZE;

		hoard(&all, 100, true);          /* no frame is zero when it comes back */
		hoard_end(&all);
		observe("round");
		mm_map(as, BASE, 700 * PAGE_SIZE, below(2) ? RW : PROT_READ, FIXED, NULL, 0);
		show_mappings(as);
		for (int i = 0; i < 30; i++, at += PAGE_SIZE)
			touch(as, below(3) ? at : (at = BASE + below(700) * PAGE_SIZE), 0);
		show_entries(as, 0);
		aspace_put(as);
		observe("frames left %lu", anon_frames());
	}
}

OBSERVE(5, zero_scarce)
{
	struct list all;
	int err = 0;

	for (int round = 0; round < 6; round++) {
		struct aspace *as = space_new();
		uint64_t n = 0, spare = 3 + below(40);

		mm_map(as, BASE, 400 * PAGE_SIZE, RW, FIXED, NULL, 0);
		hoard(&all, spare, false);
		while (n < 400 && (err = mm_fault(as, BASE + n * PAGE_SIZE, PF_W)) == 0)
			n++;
		observe("round");
		observe("spare %lu touched %lu then %d", spare, n, err);
		hoard_end(&all);
		show_entries(as, 0);
		touch(as, BASE + n * PAGE_SIZE, PF_W);
		aspace_put(as);
		observe("frames left %lu", anon_frames());
	}
}

OBSERVE(5, stack_limits)
{
	for (int round = 0; round < 12; round++) {
		struct aspace *as = space_new();
		uint64_t top = USER_END - (1 + below(1000)) * PAGE_SIZE, max = (64 + below(1900)) * PAGE_SIZE;
		uint64_t below_it = top - max - PAGE_SIZE + below(max / PAGE_SIZE) * PAGE_SIZE;
		bool neighbour = below(2);

		observe("round");
		aspace_stack(as, top, max);
		if (neighbour && below_it < top - 33 * PAGE_SIZE)
			mm_map(as, below_it, PAGE_SIZE, PROT_READ, FIXED, NULL, 0);
		observe("stack top %lx max %lx", top, max);
		show_mappings(as);
		for (int i = 0; i < 14; i++) {
			uint32_t far = i % 3 ? max + 4 * PAGE_SIZE : 8 * PAGE_SIZE;
			uint64_t va = top - max - 4 * PAGE_SIZE + below(far);

			touch(as, va, below(2) ? PF_W : 0);
			show_mappings(as);
		}
		aspace_put(as);
	}
}

/* ---- copy on write ---- */

#define SPACES 5
static struct aspace *space[SPACES + 1];

/* Write a value into the page as a program would: fault until the entry allows it. */
static void
poke(int id, uint64_t va, uint64_t value)
{
	pte_t *pte = pt_walk(&space[id]->pt, va, false);

	for (int i = 0; i < 3 && (!pte || !(*pte & PTE_P) || !(*pte & PTE_W)); i++) {
		mm_fault(space[id], va, PF_W);
		pte = pt_walk(&space[id]->pt, va, false);
	}
	if (!pte || !(*pte & PTE_P) || !(*pte & PTE_W)) {
		observe("write %d %lx %lu refused", id, va, value);
		return;
	}
	*(uint64_t *)P2V(*pte & PTE_ADDR) = value;
	observe("write %d %lx %lu", id, va, value);
}

static void
poke_random(int id)
{
	uint64_t va = BASE + below(24) * PAGE_SIZE;

	poke(id, va, observe_random() >> 20);
}

static void
family_step(void)
{
	int id = below(SPACES), other = below(SPACES);

	if (!space[id]) {
		if (!space[other])
			return;
		observe("clone %d to %d: %d", other, id, aspace_clone(space[other], &space[id]));
		return;
	}
	if (below(14) == 0) {
		observe("drop %d", id);
		aspace_put(space[id]);
		space[id] = NULL;
		return;
	}
	if (below(3)) {
		poke_random(id);
	} else if (below(2)) {
		uint64_t va = BASE + below(24) * PAGE_SIZE;

		observe("read %d %lx: %d", id, va, mm_fault(space[id], va, 0));
	} else {
		change_mappings(space[id], id);
	}
}

static void
family_show(void)
{
	observe("look");
	for (int id = 0; id < SPACES; id++)
		if (space[id])
			show_entries(space[id], id);
	observe("frames %lu", anon_frames());
}

/* Address spaces that fork, write, cut and end; a look at all of them now and then. */
OBSERVE(5, family)
{
	for (int round = 0; round < 3; round++) {
		observe("round");
		space[0] = space_new();
		mm_map(space[0], BASE, 24 * PAGE_SIZE, RW, FIXED, NULL, 0);
		for (int i = 0; i < 10; i++)
			poke_random(0);
		for (int i = 0; i < 120; i++) {
			family_step();
			if (i % 6 == 0)
				family_show();
		}
		for (int id = 0; id < SPACES; id++)
			if (space[id])
				aspace_put(space[id]);
		memset(space, 0, sizeof space);
		observe("frames left %lu", anon_frames());
	}
}

/* One page in some address spaces, some of which end; then the first writes to it. */
OBSERVE(5, last_writer)
{
	for (int round = 0; round < 40; round++) {
		int sharers = below(SPACES), drop = below(sharers + 1);
		uint64_t frames, was;
		pte_t *pte;

		space[0] = space_new();
		mm_map(space[0], BASE, PAGE_SIZE, RW, FIXED, NULL, 0);
		mm_fault(space[0], BASE, PF_W);
		for (int i = 1; i <= sharers; i++)
			if (aspace_clone(space[below(i)], &space[i]) < 0)
				panic("no memory for the grader's address spaces");
		for (int i = 0; i < drop; i++)
			aspace_put(space[sharers - i]);
		frames = anon_frames();
		pte = pt_walk(&space[0]->pt, BASE, false);
		was = *pte & PTE_ADDR;
		for (int i = 0; i < 3 && !(*pte & PTE_W); i++)
			mm_fault(space[0], BASE, PF_W);
		observe("sharers %d dropped %d: same %d refs %u frames %ld", sharers, drop, (*pte & PTE_ADDR) == was,
			page_refs(page_of_phys(*pte & PTE_ADDR)), (long)(anon_frames() - frames));
		for (int i = 0; i <= sharers - drop; i++)
			aspace_put(space[i]);
	}
}

/* Fork with little memory: it works, or is refused and nothing has happened. */
OBSERVE(5, clone_scarce)
{
	struct list all;

	for (int round = 0; round < 12; round++) {
		uint64_t spare = 1 + below(40);

		observe("round");
		space[0] = space_new();
		for (int i = 0; i < 30; i++) {       /* far from each other: each wants tables of its own */
			mm_map(space[0], BASE + (uint64_t)i * (1ul << 30), 4 * PAGE_SIZE, RW, FIXED, NULL, 0);
			for (int k = 0; k < 2; k++)
				poke(0, BASE + (uint64_t)i * (1ul << 30) + k * PAGE_SIZE, observe_random() >> 20);
		}
		hoard(&all, spare, false);
		observe("spare %lu: %d", spare, aspace_clone(space[0], &space[1]));
		hoard_end(&all);
		if (space[1]) {
			observe("child");
			show_entries(space[1], 1);
			aspace_put(space[1]);
		}
		space[1] = NULL;
		observe("look");
		show_entries(space[0], 0);
		poke(0, BASE + below(3) * PAGE_SIZE, 77);
		show_entries(space[0], 0);
		aspace_put(space[0]);
		observe("frames left %lu", anon_frames());
	}
	space[0] = NULL;
}

/* What a clone costs, for address spaces of different sizes: under icount, nanoseconds are instructions. */
OBSERVE(5, clone_cost)
{
	struct aspace *child;

	for (uint64_t n = 0; n <= 2000; n += 400 + below(200)) {
		struct aspace *as = space_new();
		uint64_t free, start;

		mm_map(as, BASE, 2400 * PAGE_SIZE, RW, FIXED, NULL, 0);
		for (uint64_t i = 0; i < n; i++)
			mm_fault(as, BASE + i * PAGE_SIZE, PF_W);
		free = page_count_free();
		start = rdtsc();
		if (aspace_clone(as, &child) == 0) {
			observe("pages %lu rss %lu time %lu taken %lu", n, as->rss, rdtsc() - start, free - page_count_free());
			aspace_put(child);
		}
		aspace_put(as);
	}
}

/* ---- what other CPUs are told ---- */

#define WATCHED 10
static struct page *watched[WATCHED];

/* In place of lab 13: another CPU that may remember every entry. What it was told, and what was true by then. */
static void
told(struct pagetable *pt, uint64_t va, bool all)
{
	if (pt != &space[0]->pt)
		return;
	observe("flush %lx all %d", va, all);
	for (int i = 0; i < WATCHED; i++) {
		pte_t *pte = pt_walk(pt, BASE + i * PAGE_SIZE, false);

		if (watched[i])
			observe("then %d %lx w %d refs %u", i, pte && *pte & PTE_P ? *pte & PTE_ADDR : 0, pte && *pte & PTE_W,
				page_refs(watched[i]));
	}
}

static void
watch_all(void)
{
	for (int i = 0; i < WATCHED; i++) {
		pte_t *pte = pt_walk(&space[0]->pt, BASE + i * PAGE_SIZE, false);

		watched[i] = pte && *pte ? page_of_phys(*pte & PTE_ADDR) : NULL;
		if (watched[i])
			observe("before %d %lx w %d refs %u", i, *pte & PTE_ADDR, !!(*pte & PTE_W), page_refs(watched[i]));
	}
}

static void
told_step(void)
{
	uint64_t at = BASE + below(WATCHED) * PAGE_SIZE, len = (1 + below(WATCHED)) * PAGE_SIZE;

	watch_all();
	switch (below(4)) {
	case 0:
		observe("step unmap %lx+%lx", at, len);
		mutex_lock(&space[0]->lock);
		mm_unmap(space[0], at, at + len);
		mm_unlock(space[0]);
		mm_map(space[0], at, len, RW, FIXED, NULL, 0);
		break;
	case 1:
		observe("step clone");
		if (!space[1])
			aspace_clone(space[0], &space[1]);
		break;
	default:
		observe("step write");
		poke(0, at, below(1000));
	}
	for (int i = 0; i < WATCHED; i++) {
		pte_t *pte = pt_walk(&space[0]->pt, BASE + i * PAGE_SIZE, false);

		observe("after %d %lx w %d", i, pte && *pte & PTE_P ? *pte & PTE_ADDR : 0, pte && *pte & PTE_W);
	}
	observe("done");
}

OBSERVE(5, flushes)
{
	static const struct tlb_ops ops = { .flush = told };

	space[0] = space_new();
	space[1] = NULL;
	mm_map(space[0], BASE, 2 * WATCHED * PAGE_SIZE, RW, FIXED, NULL, 0);
	tlb_register(&ops);
	for (int i = 0; i < 80; i++) {
		told_step();
		if (space[1] && below(6) == 0) {
			observe("drop");
			aspace_put(space[1]);
			space[1] = NULL;
		}
	}
	tlb_register(NULL);
	if (space[1])
		aspace_put(space[1]);
	aspace_put(space[0]);
	space[0] = space[1] = NULL;
}
