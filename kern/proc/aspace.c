/* aspace.c - address spaces: who shares one, when it goes, and lab 4's plain way to fill one.  (lab 4)
 *
 * Idea.       An address space is a page-table tree with a reference count. What is mapped in it, and when
 *             pages appear, is the business of whoever registered aspace_ops. The plain way of this file:
 *             every page at once.
 * Interface.  aspace_new, aspace_clone, aspace_get, aspace_put; aspace_map, aspace_stack; aspace_read,
 *             aspace_write.
 * Invariants. I1 destroyed by the last aspace_put, when no CPU has it in CR3.
 * Locks.      as->lock (RANK(5, 50), a mutex): the tree. Held here only around looking at entries.
 */
#include "kern/proc/aspace.h"
#include "kern/mem/kheap.h"
#include "kern/proc/sched.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/kern/string.h"

#define PLAIN_STACK (128 * 1024ul)    /* the plain way cannot grow a stack: all of it at once */

/* ---- the plain way ---- */

static pte_t
prot_flags(int prot)
{
	pte_t f = PTE_U;

	if (prot & PROT_WRITE)
		f |= PTE_W;
	if (!(prot & PROT_EXEC))
		f |= PTE_NX;
	return f;
}

/* A new page for va, filled from src as aspace_ops.map says. */
static int
plain_page(struct aspace *as, uint64_t va, pte_t flags, struct source *src, uint64_t off, uint64_t n)
{
	struct page *p = page_alloc_zero(PG_ANON);
	long got = 0;
	int err;

	if (!p)
		return -ENOMEM;
	if (src && n > 0)
		got = src->ops->read(src, off, page_virt(p), n < PAGE_SIZE ? n : PAGE_SIZE);
	err = got < 0 ? got : pt_map(&as->pt, va, page_phys(p), flags);
	if (err) {
		page_unref(p);
		return err;
	}
	__atomic_add_fetch(&as->rss, 1, __ATOMIC_RELAXED);
	return 0;
}

static int
plain_map(struct aspace *as, uint64_t va, uint64_t len, int prot, int flags, struct source *src, uint64_t off,
	uint64_t filelen)
{
	int err = 0;

	(void)flags;
	for (uint64_t done = 0; done < len && !err; done += PAGE_SIZE) {
		pte_t old = pt_unmap(&as->pt, va + done);

		if (old) {
			tlb_flush_page(&as->pt, va + done);
			page_unref(page_of_phys(old & PTE_ADDR));
			__atomic_sub_fetch(&as->rss, 1, __ATOMIC_RELAXED);
		}
		err = plain_page(as, va + done, prot_flags(prot), src, off + done,
			done < filelen ? filelen - done : 0);
	}
	return err;
}

static int
plain_stack(struct aspace *as, uint64_t top, uint64_t max)
{
	uint64_t n = max < PLAIN_STACK ? PAGE_UP(max) : PLAIN_STACK;

	return plain_map(as, top - n, n, PROT_READ | PROT_WRITE, 0, NULL, 0, 0);
}

static int
clone_page(pte_t *pte, uint64_t va, void *arg)
{
	struct aspace *dst = arg;
	struct page *p = page_alloc(PG_ANON);
	int err;

	if (!p)
		return -ENOMEM;
	page_copy(p, page_of_phys(*pte & PTE_ADDR));
	err = pt_map(&dst->pt, va, page_phys(p), *pte & (PTE_U | PTE_W | PTE_NX));
	if (err)
		page_unref(p);
	else
		dst->rss++;
	return err;
}

static int
plain_clone(struct aspace *dst, struct aspace *src)
{
	return pt_each(&src->pt, 0, USER_END, clone_page, dst);
}

static int
free_page(pte_t *pte, uint64_t va, void *arg)
{
	struct page *p = page_of_phys(*pte & PTE_ADDR);

	(void)va;
	(void)arg;
	*pte = 0;
	page_unref(p);
	return 0;
}

static void
plain_destroy(struct aspace *as)
{
	pt_each(&as->pt, 0, USER_END, free_page, NULL);
}

static const struct aspace_ops plain_ops = { .map = plain_map, .stack = plain_stack, .clone = plain_clone,
	.destroy = plain_destroy };
static const struct aspace_ops *ops = &plain_ops;        /* [I] after boot */

/* Lab 5 knows better. Before the first process. */
void
aspace_register(const struct aspace_ops *better)
{
	ops = better;
}

/* ---- life ---- */

/* An empty address space. Returns: 0, -ENOMEM. */
int
aspace_new(struct aspace **out)
{
	struct aspace *as = kzalloc(sizeof *as);
	int err;

	if (!as)
		return -ENOMEM;
	as->refs = 1;
	mutex_init(&as->lock, "aspace", RANK(5, 50));
	err = pt_init(&as->pt);
	if (!err && ops->init && (err = ops->init(as)) != 0)
		pt_destroy(&as->pt);
	if (err)
		kfree(as);
	else
		*out = as;
	return err;
}

/* Fork's copy: same contents, nothing shared that a write could show. */
int
aspace_clone(struct aspace *src, struct aspace **out)
{
	struct aspace *as;
	int err = aspace_new(&as);

	if (err)
		return err;
	as->brk_start = src->brk_start;
	as->brk = src->brk;
	as->stack_top = src->stack_top;
	as->arg_start = src->arg_start;
	as->arg_end = src->arg_end;
	as->env_start = src->env_start;
	as->env_end = src->env_end;
	memcpy(as->auxv, src->auxv, sizeof as->auxv);
	as->exe = src->exe ? source_get(src->exe) : NULL;
	err = ops->clone(as, src);
	if (err)
		aspace_put(as);
	else
		*out = as;
	return err;
}

struct aspace *
aspace_get(struct aspace *as)
{
	__atomic_add_fetch(&as->refs, 1, __ATOMIC_RELAXED);
	return as;
}

/* Idle CPUs may still have it in CR3: they let go when they look (sched_start_cpu), kernel threads when they
 * sleep. */
static void
wait_unloaded(struct aspace *as)
{
	__atomic_store_n(&as->dying, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < NCPU; i++)
		while (__atomic_load_n(&cpus[i].aspace, __ATOMIC_ACQUIRE) == as) {
			bool on = irq_save();

			if (i == cpu_self()->id)
				aspace_switch(NULL);
			irq_restore(on);
			sched_kick(i);
			cpu_relax();
		}
}

/* Drop a reference; the last one frees pages and tables. May sleep. Requires: the current thread does not
 * run in it. */
void
aspace_put(struct aspace *as)
{
	if (__atomic_sub_fetch(&as->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	wait_unloaded(as);
	ops->destroy(as);
	pt_destroy(&as->pt);
	if (as->exe)
		source_put(as->exe);
	kfree(as);
}

/* ---- contents ---- */

/* aspace_ops.map, with its arguments checked: page-aligned, inside the user half, never writable and
 * executable. */
int
aspace_map(struct aspace *as, uint64_t va, uint64_t len, int prot, int flags, struct source *src,
	uint64_t off, uint64_t filelen)
{
	if ((va | len) % PAGE_SIZE || len == 0 || len > USER_END || va > USER_END - len)
		return -EINVAL;
	if ((prot & PROT_WRITE) && (prot & PROT_EXEC))
		return -EACCES;
	return ops->map(as, va, len, prot, flags, src, off, filelen);
}

int
aspace_stack(struct aspace *as, uint64_t top, uint64_t max)
{
	return ops->stack(as, top, max);
}

/* The page at va, referenced, for reading or writing. Returns: NULL when there is none or it must not be
 * written. */
static struct page *
page_pin(struct aspace *as, uint64_t va, bool write)
{
	struct page *p = NULL;

	for (int tries = 0; tries < 3 && !p && va < USER_END; tries++) {
		pte_t *pte, need = PTE_P | PTE_U | (write ? PTE_W : 0);

		mutex_lock(&as->lock);
		pte = pt_walk(&as->pt, va, false);
		if (pte && (*pte & need) == need && (p = page_of_phys(*pte & PTE_ADDR)))
			page_ref(p);
		mutex_unlock(&as->lock);
		if (!p && (!ops->touch || ops->touch(as, va, write)))
			break;
	}
	return p;
}

static int
aspace_copy(struct aspace *as, uint64_t va, char *buf, size_t n, bool write)
{
	while (n > 0) {
		size_t part = PAGE_SIZE - va % PAGE_SIZE;
		struct page *p = page_pin(as, va, write);

		if (!p)
			return -EFAULT;
		if (part > n)
			part = n;
		if (write)
			memcpy((char *)page_virt(p) + va % PAGE_SIZE, buf, part);
		else
			memcpy(buf, (char *)page_virt(p) + va % PAGE_SIZE, part);
		page_unref(p);
		va += part;
		buf += part;
		n -= part;
	}
	return 0;
}

/* Copy into an address space that need not be loaded. Returns: 0, -EFAULT. May sleep. */
int
aspace_write(struct aspace *as, uint64_t va, const void *src, size_t n)
{
	return aspace_copy(as, va, (char *)(uint64_t)src, n, true);
}

int
aspace_read(struct aspace *as, void *dst, uint64_t va, size_t n)
{
	return aspace_copy(as, va, dst, n, false);
}
