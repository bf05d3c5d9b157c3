/* aspace_vm.c - lab 5's answer to lab 4's slot: address spaces made of mappings.              (lab 5)
 *
 * Idea.       exec and fork ask for the same few things as before (map a segment, reserve a stack, clone, destroy), but now nothing is copied
 *             until it must be: a segment is a mapping of the program file, a clone shares every page.
 * Interface.  Registered on the last lines; nobody calls this file.
 * Invariants. mapping.h's.
 * Locks.      as->lock.
 */
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/trap/trap.h"
#include "kern/vm/vm.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"

static int
vm_init(struct aspace *as)
{
	struct vm *vm = kzalloc(sizeof *vm);

	if (!vm)
		return -ENOMEM;
	vm->mmap_top = USER_END;
	list_init(&vm->dead);
	as->vm = vm;
	return 0;
}

/* A program file that can only be read, not mapped (the boot archive): fill the pages now. Requires as->lock. */
static int
fill_now(struct aspace *as, const struct mapping *m, struct source *src, uint64_t off, uint64_t filelen)
{
	for (uint64_t done = 0; done < filelen; done += PAGE_SIZE) {
		uint64_t n = filelen - done < PAGE_SIZE ? filelen - done : PAGE_SIZE;
		struct page *p = page_alloc_zero(PG_ANON);

		if (!p)
			return -ENOMEM;
		long got = src->ops->read(src, off + done, page_virt(p), n);
		pte_t *pte = got == (long)n ? pt_walk(&as->pt, m->lo + done, true) : NULL;
		if (!pte) {
			page_unref(p);
			return got < 0 ? got : got == (long)n ? -ENOMEM : -EIO;
		}
		*pte = page_phys(p) | leaf_flags(m, m->prot & PROT_WRITE && !(m->prot & PROT_EXEC));
		__atomic_add_fetch(&as->rss, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

static int
vm_map(struct aspace *as, uint64_t va, uint64_t len, int prot, int flags, struct source *src, uint64_t off, uint64_t filelen)
{
	bool mapped = src && src->object && filelen;
	struct mapping m = { .lo = va, .hi = va + len, .prot = prot,
		.flags = (flags & MAP_TYPE) | (mapped ? 0 : MAP_ANONYMOUS),
		.object = mapped ? src->object : NULL, .index = off / PAGE_SIZE, .touched = src && !mapped,
		.filelen = mapped && filelen < len ? filelen : ~0ul };

	if (va < MM_LOWEST || va + len < va || va + len > USER_END || (va | len) & (PAGE_SIZE - 1) || !len)
		return -EINVAL;
	mutex_lock(&as->lock);
	int err = mm_unmap(as, va, va + len);
	if (!err)
		err = mm_insert(as, &m);
	if (!err && src && !mapped)
		err = fill_now(as, &m, src, off, filelen);
	mm_unlock(as);
	return err;
}

#define STACK_FIRST (32 * PAGE_SIZE) /* mapped from the start: arguments and environment */

/* The main stack ends at `top` and may grow to `max` bytes; mmap finds its room below that. */
static int
vm_stack(struct aspace *as, uint64_t top, uint64_t max)
{
	struct vm *vm = vm_of(as);
	struct mapping m = { .lo = top - STACK_FIRST, .hi = top, .prot = PROT_READ | PROT_WRITE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, .filelen = ~0ul };
	const uint64_t cap = 1ul << 30;

	max = PAGE_UP(max > cap ? cap : max < STACK_FIRST ? STACK_FIRST : max);
	mutex_lock(&as->lock);
	int err = mm_range_free(as, m.lo, m.hi) ? mm_insert(as, &m) : -ENOMEM;
	as->stack_top = top;
	vm->stack_low = top - max;
	vm->mmap_top = top - max - (1ul << 20);
	mm_unlock(as);
	return err;
}

/* fork. Requires: dst initialised, empty and known to nobody else. On -ENOMEM dst holds a part, which destroy frees. */
static int
vm_clone(struct aspace *dst, struct aspace *src)
{
	struct vm *to = vm_of(dst), *from = vm_of(src);
	int err = 0;

	mutex_lock(&src->lock);
	to->stack_low = from->stack_low;
	to->mmap_top = from->mmap_top;
	for (int i = 0; !err && i < from->n; i++) {
		err = mm_insert(dst, from->map[i]);
		if (!err)
			err = leaf_copy(dst, src, from->map[i]);
	}
	tlb_flush_all(&src->pt);   /* private pages became read-only */
	mutex_unlock(&src->lock);
	return err;
}

static void
vm_destroy(struct aspace *as)
{
	struct vm *vm = vm_of(as);

	if (!vm)
		return;
	for (int i = 0; i < vm->n; i++) {
		struct mapping *m = vm->map[i];

		leaf_zap(as, m, m->lo, m->hi, false);
		if (m->object) {
			spin_lock(&m->object->lock);
			list_remove(&m->obj_link);
			spin_unlock(&m->object->lock);
			m->object->ops->unref(m->object);
		}
		kfree(m);
	}
	kfree(vm->map);
	kfree(vm);
	as->vm = NULL;
}

static int
vm_touch(struct aspace *as, uint64_t va, bool write)
{
	return mm_fault(as, va, write ? PF_W : 0);
}

static const struct aspace_ops vm_aspace_ops = {
	.init = vm_init,
	.map = vm_map,
	.stack = vm_stack,
	.clone = vm_clone,
	.destroy = vm_destroy,
	.touch = vm_touch,
};

static void
vm_register(void)
{
	aspace_register(&vm_aspace_ops);
}

INITCALL(5, vm_register);
