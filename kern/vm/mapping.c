/* mapping.c - the sorted set of mappings of an address space.                                 (lab 5)
 *
 * Idea.       An array of pointers sorted by address: finding is a binary search, and nothing but fork and /proc looks at all.
 *
 *                 map[0]      map[1]            map[2]
 *             |--text--|   |--data--|  ...  |--stack--|
 *
 *             An operation on a range first splits the mappings at its two ends (mm_isolate); then it only meets whole ones.
 *             Removal needs no split but for a hole in the middle: it cuts the ends off.
 * Interface.  mm_find mm_lookup mm_insert mm_isolate mm_unmap mm_find_area mm_grow_stack, and mm_each for /proc.
 * Invariants. I1 map[i]->hi <= map[i+1]->lo (mm_check).  I2 npages is the sum of their lengths.
 * Locks.      as->lock, held by every caller.
 */
#include "kern/vm/vm.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/kern/string.h"

#define STACK_GAP (256 * PAGE_SIZE)  /* kept free below the stack, so that running over its end faults */

/* The index of the first mapping that ends above va; n: there is none. vm->last remembers the answer: the next question
 * is often about the same place. */
int
mm_find(struct aspace *as, uint64_t va)
{
	struct vm *vm = vm_of(as);
	int lo = 0, hi = vm->n, last = vm->last;

	if (last < hi && vm->map[last]->hi > va && (last == 0 || vm->map[last - 1]->hi <= va))
		return last;
	while (lo < hi) {
		int mid = (lo + hi) / 2;
		if (vm->map[mid]->hi > va)
			hi = mid;
		else
			lo = mid + 1;
	}
	return vm->last = lo;
}

struct mapping *
mm_lookup(struct aspace *as, uint64_t va)
{
	struct vm *vm = vm_of(as);
	int i = mm_find(as, va);

	return i < vm->n && vm->map[i]->lo <= va ? vm->map[i] : NULL;
}

/* m begins to use its object. */
static void
mm_link_object(struct mapping *m)
{
	if (!m->object)
		return;
	m->object->ops->ref(m->object);
	spin_lock(&m->object->lock);
	list_push_back(&m->object->mappings, &m->obj_link);
	spin_unlock(&m->object->lock);
}

/* m is out of the array: no zap finds it from here on. Its object is let go by mm_unlock, because that may sleep in
 * layers whose locks come before as->lock. */
static void
mm_bury(struct aspace *as, struct mapping *m)
{
	if (!m->object) {
		kfree(m);
		return;
	}
	spin_lock(&m->object->lock);
	list_remove(&m->obj_link);
	spin_unlock(&m->object->lock);
	list_push_back(&vm_of(as)->dead, &m->obj_link);
}

void
mm_unlock(struct aspace *as)
{
	struct list dead;

	list_init(&dead);
	if (vm_of(as))
		list_splice_back(&dead, &vm_of(as)->dead);
	mutex_unlock(&as->lock);
	for (struct list *n; (n = list_pop_front(&dead));) {
		struct mapping *m = list_entry(n, struct mapping, obj_link);
		m->object->ops->unref(m->object);
		kfree(m);
	}
}

/* Room for `more` further pointers. -ENOMEM. */
static int
map_reserve(struct vm *vm, int more)
{
	if (vm->n + more <= vm->cap)
		return 0;
	if (vm->n + more > MM_MAX_MAPPINGS)
		return -ENOMEM;
	int cap = vm->cap ? vm->cap * 2 : 16;
	struct mapping **map = krealloc(vm->map, cap * sizeof *map);
	if (!map)
		return -ENOMEM;
	vm->map = map;
	vm->cap = cap;
	return 0;
}

/* Put m at index i; room is there. */
static void
map_put(struct vm *vm, int i, struct mapping *m)
{
	memmove(&vm->map[i + 1], &vm->map[i], (vm->n - i) * sizeof vm->map[0]);
	vm->map[i] = m;
	vm->n++;
}

/* Can `next`, starting where m ends, be one mapping with it? Only anonymous private memory: malloc and brk grow that way. */
static bool
mapping_joins(const struct mapping *m, const struct mapping *next)
{
	return m->hi == next->lo && !m->object && !next->object && m->prot == next->prot &&
		m->flags == next->flags && !(m->flags & MAP_GROWSDOWN);
}

/* Add a mapping like *want, whose range is free. Returns 0 or -ENOMEM. */
int
mm_insert(struct aspace *as, const struct mapping *want)
{
	struct vm *vm = vm_of(as);
	int i = mm_find(as, want->lo);
	struct mapping *m;

	assert(i == vm->n || want->hi <= vm->map[i]->lo);
	if (i > 0 && mapping_joins(vm->map[i - 1], want)) {
		vm->map[i - 1]->hi = want->hi;
		vm->map[i - 1]->touched |= want->touched;
	} else {
		if (map_reserve(vm, 1) < 0 || !(m = kmalloc(sizeof *m)))
			return -ENOMEM;
		*m = *want;
		m->as = as;
		mm_link_object(m);
		map_put(vm, i, m);
	}
	vm->npages += (want->hi - want->lo) / PAGE_SIZE;
	return 0;
}

/* Let m begin at `at` instead of further down. */
static void
mapping_advance(struct mapping *m, uint64_t at)
{
	m->index += (at - m->lo) / PAGE_SIZE;
	if (m->filelen != ~0ul)
		m->filelen = m->filelen > at - m->lo ? m->filelen - (at - m->lo) : 0;
	m->lo = at;
}

/* Split the mapping that straddles `at`, if there is one. */
static int
mm_split(struct aspace *as, uint64_t at)
{
	struct vm *vm = vm_of(as);
	int i = mm_find(as, at);

	if (i == vm->n || vm->map[i]->lo >= at)
		return 0;
	struct mapping *m = vm->map[i], *high;
	if (map_reserve(vm, 1) < 0 || !(high = kmalloc(sizeof *high)))
		return -ENOMEM;
	*high = *m;
	mapping_advance(high, at);
	/* The object's list must never show the range twice or not at all: shrink and link in one step. */
	if (m->object) {
		m->object->ops->ref(m->object);
		spin_lock(&m->object->lock);
		m->hi = at;
		list_push_back(&m->object->mappings, &high->obj_link);
		spin_unlock(&m->object->lock);
	}
	m->hi = at;
	map_put(vm, i + 1, high);
	return 0;
}

int
mm_isolate(struct aspace *as, uint64_t lo, uint64_t hi)
{
	int err = mm_split(as, lo);

	return err ? err : mm_split(as, hi);
}

/* Take [lo, hi), which is one end of m but not all of it, and its pages out of m. */
static void
mm_trim(struct aspace *as, struct mapping *m, uint64_t lo, uint64_t hi)
{
	leaf_zap(as, m, lo, hi, true);
	vm_of(as)->npages -= (hi - lo) / PAGE_SIZE;
	if (m->object)
		spin_lock(&m->object->lock);
	if (lo > m->lo)
		m->hi = lo;
	else
		mapping_advance(m, hi);
	if (m->object)
		spin_unlock(&m->object->lock);
}

/* Remove [lo, hi) from every mapping, with its pages. Returns 0, or -ENOMEM when a mapping had to be split and could not. */
int
mm_unmap(struct aspace *as, uint64_t lo, uint64_t hi)
{
	struct vm *vm = vm_of(as);
	int first = mm_find(as, lo), last;

	if (first == vm->n || vm->map[first]->lo >= hi)
		return 0;
	if (vm->map[first]->lo < lo) {
		int err = vm->map[first]->hi > hi ? mm_split(as, hi) : 0;
		if (err)
			return err;
		mm_trim(as, vm->map[first], lo, vm->map[first]->hi);
		first++;
	}
	for (last = first; last < vm->n && vm->map[last]->hi <= hi; last++) {
		struct mapping *m = vm->map[last];

		vm->npages -= (m->hi - m->lo) / PAGE_SIZE;
		leaf_zap(as, m, m->lo, m->hi, true);
		mm_bury(as, m);
	}
	if (last < vm->n && vm->map[last]->lo < hi)
		mm_trim(as, vm->map[last], vm->map[last]->lo, hi);
	if (first == last)
		return 0;
	memmove(&vm->map[first], &vm->map[last], (vm->n - last) * sizeof vm->map[0]);
	vm->n -= last - first;
	return 0;
}

bool
mm_range_free(struct aspace *as, uint64_t lo, uint64_t hi)
{
	struct vm *vm = vm_of(as);
	int i = mm_find(as, lo);

	return i == vm->n || vm->map[i]->lo >= hi;
}

/* An unused range of len bytes: at hint if that is free, else the highest one below mmap_top. 0: no room. */
uint64_t
mm_find_area(struct aspace *as, uint64_t hint, uint64_t len)
{
	struct vm *vm = vm_of(as);
	uint64_t top = vm->mmap_top;

	if (hint >= MM_LOWEST && hint + len <= top && hint + len > hint && mm_range_free(as, hint, hint + len))
		return hint;
	for (int i = mm_find(as, top - 1); i >= 0; i--) {
		if (i < vm->n && vm->map[i]->lo < top)
			top = vm->map[i]->lo;
		uint64_t floor = i > 0 ? vm->map[i - 1]->hi : MM_LOWEST;
		if (top > floor && top - floor >= len)
			return top - len;
	}
	return 0;
}

/* The stack has run below its mapping: extend it to hold va, if it may grow that far and keeps clear of what is below. */
struct mapping *
mm_grow_stack(struct aspace *as, uint64_t va)
{
	struct vm *vm = vm_of(as);
	int i = mm_find(as, va);
	uint64_t lo = PAGE_DOWN(va);

	if (i == vm->n || !(vm->map[i]->flags & MAP_GROWSDOWN))
		return NULL;
	struct mapping *m = vm->map[i];
	if (m->hi == as->stack_top && lo < vm->stack_low)
		return NULL;
	if (lo < MM_LOWEST || (i > 0 && vm->map[i - 1]->hi + STACK_GAP > lo) || m->lo - lo > (8ul << 20))
		return NULL;
	vm->npages += (m->lo - lo) / PAGE_SIZE;
	m->lo = lo;                /* anonymous: index means nothing */
	return m;
}

int
mm_each(struct aspace *as, int (*fn)(const struct mapping *m, void *arg), void *arg)
{
	struct vm *vm = vm_of(as);
	int r = 0;

	mutex_lock(&as->lock);
	for (int i = 0; vm && !r && i < vm->n; i++)
		r = fn(vm->map[i], arg);
	mutex_unlock(&as->lock);
	return r;
}

uint64_t
mm_total_pages(struct aspace *as)
{
	mutex_lock(&as->lock);
	uint64_t n = vm_of(as) ? vm_of(as)->npages : 0;
	mutex_unlock(&as->lock);
	return n;
}
