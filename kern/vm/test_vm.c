/* test_vm.c - lab 5 from inside: mappings, faults, copy-on-write.                            (lab 5)
 * Each test works on an address space of its own, through mm_fault and the page tables; nothing runs in it. */
#include "kern/boot/ktest.h"
#include "kern/vm/vm.h"
#include "kern/trap/trap.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/kern/string.h"

#define BASE 0x10000000ul

static const int RW = PROT_READ | PROT_WRITE;
static const int ANON = MAP_PRIVATE | MAP_ANONYMOUS;

static struct aspace *
make(void)
{
	struct aspace *as = NULL;

	CHECK_EQ(aspace_new(&as), 0);
	return as;
}

/* The byte at va as a program would see it, or -1. */
static int
peek(struct aspace *as, uint64_t va)
{
	pte_t *e = pt_walk(&as->pt, va, false);

	return e && (*e & PTE_P) ? ((uint8_t *)P2V(*e & PTE_ADDR))[va % PAGE_SIZE] : -1;
}

static void
poke(struct aspace *as, uint64_t va, uint8_t v)
{
	CHECK_EQ(mm_fault(as, va, PF_W), 0);
	pte_t *e = pt_walk(&as->pt, va, false);
	CHECK(e && (*e & PTE_W) && (*e & PTE_NX));
	((uint8_t *)P2V(*e & PTE_ADDR))[va % PAGE_SIZE] = v;
}

static int
mappings(struct aspace *as)
{
	return vm_of(as)->n;
}

KTEST(5, vm_demand_zero)
{
	struct aspace *as = make();

	CHECK_EQ(mm_map(as, BASE, 4 * PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0), BASE);
	CHECK_EQ(peek(as, BASE), -1);
	CHECK_EQ(mm_fault(as, BASE + 5, 0), 0);
	CHECK_EQ(peek(as, BASE + 5), 0);
	CHECK_EQ(as->rss, 1);
	CHECK_EQ(mm_fault(as, BASE - 1, 0), -EFAULT);
	CHECK_EQ(mm_fault(as, BASE + 4 * PAGE_SIZE, 0), -EFAULT);
	CHECK_EQ(mm_fault(as, BASE, PF_I), -EFAULT);
	CHECK_EQ(mm_fault(as, USER_END, 0), -EFAULT);
	aspace_put(as);
}

KTEST(5, vm_copy_on_write)
{
	struct aspace *parent = make(), *child = NULL;

	mm_map(parent, BASE, 2 * PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0);
	poke(parent, BASE, 1);
	CHECK_EQ(aspace_clone(parent, &child), 0);
	CHECK_EQ(*pt_walk(&parent->pt, BASE, false) & (PTE_W | PTE_ADDR), *pt_walk(&child->pt, BASE, false) & PTE_ADDR);
	poke(child, BASE, 2);
	CHECK_EQ(peek(parent, BASE), 1);
	CHECK_EQ(peek(child, BASE), 2);
	uint64_t free = page_count_free();
	poke(parent, BASE, 3);                     /* the last user of the page: no copy */
	CHECK_EQ(page_count_free(), free);
	CHECK_EQ(peek(child, BASE), 2);
	aspace_put(child);
	CHECK_EQ(peek(parent, BASE), 3);
	aspace_put(parent);
}

KTEST(5, vm_unmap_splits)
{
	struct aspace *as = make();

	mm_map(as, BASE, 5 * PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0);
	for (int i = 0; i < 5; i++)
		poke(as, BASE + i * PAGE_SIZE, i + 1);
	mutex_lock(&as->lock);
	CHECK_EQ(mm_unmap(as, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE), 0);
	mm_unlock(as);
	CHECK_EQ(mappings(as), 2);
	CHECK_EQ(as->rss, 4);
	CHECK_EQ(mm_fault(as, BASE + PAGE_SIZE, 0), -EFAULT);
	CHECK_EQ(peek(as, BASE + 2 * PAGE_SIZE), 3);
	CHECK_EQ(mm_map(as, BASE + PAGE_SIZE, PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0), BASE + PAGE_SIZE);
	CHECK_EQ(mm_fault(as, BASE + PAGE_SIZE, 0), 0);
	CHECK_EQ(peek(as, BASE + PAGE_SIZE), 0);
	aspace_put(as);
}

KTEST(5, vm_shared_memory)
{
	struct aspace *parent = make(), *child = NULL;
	struct map_object *o = NULL;

	CHECK_EQ(shm_new(3, &o), 0);
	CHECK_EQ(mm_map(parent, BASE, 4 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, o, 0), BASE);
	o->ops->unref(o);
	poke(parent, BASE, 7);
	CHECK_EQ(aspace_clone(parent, &child), 0);
	poke(child, BASE, 8);
	CHECK_EQ(peek(parent, BASE), 8);
	CHECK_EQ(mm_fault(parent, BASE + 3 * PAGE_SIZE, 0), -ERANGE);
	poke(child, BASE + PAGE_SIZE, 9);
	CHECK_EQ(mm_fault(parent, BASE + PAGE_SIZE, 0), 0);
	CHECK_EQ(peek(parent, BASE + PAGE_SIZE), 9);
	map_object_clean(o, 0, ~0ul);
	CHECK(!(*pt_walk(&child->pt, BASE, false) & PTE_W));
	map_object_zap(o, 1, 1);
	CHECK_EQ(peek(child, BASE + PAGE_SIZE), -1);
	CHECK_EQ(peek(child, BASE), 8);
	aspace_put(parent);
	aspace_put(child);
}

KTEST(5, vm_write_xor_execute)
{
	struct aspace *as = make();

	mm_map(as, BASE, PAGE_SIZE, RW | PROT_EXEC, ANON | MAP_FIXED, NULL, 0);
	poke(as, BASE, 0xc3);
	CHECK_EQ(mm_fault(as, BASE, PF_I), 0);
	CHECK_EQ(*pt_walk(&as->pt, BASE, false) & (PTE_W | PTE_NX), 0);
	poke(as, BASE, 0x90);
	aspace_put(as);
}

KTEST(5, vm_stack_grows)
{
	struct aspace *as = make();
	uint64_t top = USER_END - PAGE_SIZE;

	CHECK_EQ(aspace_stack(as, top, 1ul << 20), 0);
	CHECK_EQ(mm_fault(as, top - 8, PF_W), 0);
	CHECK_EQ(mm_fault(as, top - (1ul << 20), PF_W), 0);
	CHECK_EQ(mm_fault(as, top - (1ul << 20) - 1, PF_W), -EFAULT);
	aspace_put(as);
}

KTEST(5, vm_areas)
{
	struct aspace *as = make();
	uint64_t a, b;

	aspace_stack(as, USER_END - PAGE_SIZE, 8ul << 20);
	a = mm_map(as, 0, 3 * PAGE_SIZE, RW, ANON, NULL, 0);
	b = mm_map(as, 0, PAGE_SIZE, PROT_READ, ANON, NULL, 0);
	CHECK_EQ(b, a - PAGE_SIZE);
	CHECK_EQ(mm_map(as, a, PAGE_SIZE, RW, ANON | MAP_FIXED_NOREPLACE, NULL, 0), -EEXIST);
	CHECK_EQ(mm_map(as, 0, 1ul << 47, RW, ANON, NULL, 0), -ENOMEM);
	CHECK_EQ(mm_map(as, 0, 1ul << 46, PROT_NONE, ANON | MAP_NORESERVE, NULL, 0) < 0, 0);
	CHECK_EQ(mm_map(as, 0, 1ul << 46, RW, ANON, NULL, 0), -ENOMEM);
	aspace_put(as);
}
