/* fault.c - the page-fault handler: a page appears when it is touched.                        (lab 5)
 *
 * Idea.       The processor found no entry that allows the access. Either the program's mappings do not allow it
 *             either (then it is the program's error), or the entry is merely not there yet:
 *
 *                 entry absent,  anonymous              a zeroed page
 *                 entry absent,  object, read           the object's page, read-only; its neighbours too if they are in memory
 *                 entry absent,  object, private write  a copy of the object's page
 *                 entry absent,  object, shared write   the object's page, after it heard that it will be written
 *                 present, read-only, private write     copy on write - or just the write bit, if nobody else has the page
 *                 present, read-only, shared write      as absent shared write
 *
 * Interface.  mm_fault; the rest is registered with the trap layer.
 * Invariants. I1 mapping.h's I2 and I3.  I2 an object's page is installed only if object->seq did not move meanwhile.
 * Locks.      as->lock; dropped while an object is asked for a page, and everything is looked up again afterwards.
 */
#include "kern/vm/vm.h"
#include "kern/boot/initcall.h"
#include "kern/proc/proc.h"
#include "kern/vm/oom.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/kern/string.h"

#define AROUND 16            /* pages around a fault that are mapped along if they are in memory */
#define AHEAD 8              /* zero pages mapped at once, at most */
#define NPTE 512             /* entries of a table */

/* Does m allow this access? */
static bool
access_allowed(const struct mapping *m, int pf)
{
	if (pf & PF_W)
		return m->prot & PROT_WRITE;
	if (pf & PF_I)
		return m->prot & PROT_EXEC;
	return m->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* Is the page at va of m zeros, whatever the object holds? (anonymous memory, and an ELF segment's bss) */
static bool
page_is_anonymous(const struct mapping *m, uint64_t va)
{
	return !m->object || (m->filelen != ~0ul && va - m->lo >= m->filelen);
}

/* Bytes of the page at va that come from the object; the rest is zero. */
static uint64_t
page_filled(const struct mapping *m, uint64_t va)
{
	uint64_t off = va - m->lo;

	return m->filelen == ~0ul || m->filelen - off > PAGE_SIZE ? PAGE_SIZE : m->filelen - off;
}

/* How many pages to map at va, whose entry is *pte: one; a program that goes through memory gets some ahead, up to half
 * as many as it has touched just before, so that hardly anything is mapped in vain. */
static unsigned
zero_ahead(const struct mapping *m, const pte_t *pte, uint64_t va)
{
	unsigned index = va / PAGE_SIZE % NPTE, before = 0, n = 1;

	while (before < 2 * AHEAD && before < index && va - before * PAGE_SIZE > m->lo && pte[-1 - (int)before])
		before++;
	while (n <= before / 2 && index + n < NPTE && va + n * PAGE_SIZE < m->hi && !pte[n])
		n++;
	return m->object ? 1 : n;
}

/* Nothing is at va yet, and it is to be zeros: map a fresh page, and some after it (zero_ahead). Requires as->lock.
 * Returns 0; -ENOMEM: not even one page. */
static int
fault_zero(struct aspace *as, struct mapping *m, pte_t *pte, uint64_t va, int pf)
{
	/* A readable page will most likely be written: one fault instead of two. */
	pte_t flags = leaf_flags(m, m->prot & PROT_WRITE && !(pf & PF_I));
	unsigned n = zero_ahead(m, pte, va), i;
	struct page *p;

	if (n > 1)
		pt_walk_n(&as->pt, va, n);
	for (i = 0; i < n && (p = page_alloc_zero(PG_ANON)); i++)
		pte[i] = page_phys(p) | flags;
	__atomic_add_fetch(&as->rss, i, __ATOMIC_RELAXED);
	return i ? 0 : -ENOMEM;
}

/* Put `to` where entry `from` was read. False: a truncate has changed it meanwhile (it asks for no as->lock). */
static bool
entry_change(struct mapping *m, pte_t *pte, pte_t from, pte_t to)
{
	bool same;

	if (m->object)
		spin_lock(&m->object->lock);
	same = *pte == from;
	if (same)
		*pte = to;
	if (m->object)
		spin_unlock(&m->object->lock);
	return same;
}

/* Write to a private page that is mapped read-only.
 *
 * Requires: as->lock; e, read from *pte, present, without PTE_W; the mapping allows writing.
 * Does:     - if this entry has the only reference to an anonymous page, sets the write bit;
 *           - else puts a copy in its place, and lets go of the old page once no TLB shows it.
 * Returns:  0, -ENOMEM.
 */
static int
cow_fault(struct aspace *as, struct mapping *m, pte_t *pte, pte_t e, uint64_t va)
{
	struct page *old = pte_page(e);

	if (old->kind == PG_ANON && page_refs(old) == 1) {
		entry_change(m, pte, e, page_phys(old) | leaf_flags(m, true));
		invlpg(va);        /* other CPUs at worst fault once more, and come to fault_present */
		return 0;
	}
	struct page *copy = page_alloc(PG_ANON);
	if (!copy)
		return -ENOMEM;
	page_copy(copy, old);
	if (!entry_change(m, pte, e, page_phys(copy) | leaf_flags(m, true))) {
		page_unref(copy);  /* fault again */
		return 0;
	}
	tlb_flush_page(&as->pt, va);
	page_unref(old);
	return 0;
}

/* The entry is there, but did not allow the access. Returns 0, -ENOMEM, or -EAGAIN: ask the object (shared write). */
static int
fault_present(struct aspace *as, struct mapping *m, pte_t *pte, pte_t e, uint64_t va, int pf)
{
	if ((pf & PF_W) && !(e & PTE_W)) {
		if (mapping_shared(m))
			return -EAGAIN;
		return cow_fault(as, m, pte, e, va);
	}
	if ((pf & PF_I) && (e & PTE_NX)) {         /* W^X: from writable to executable */
		entry_change(m, pte, e, e & ~(PTE_W | PTE_NX));
		tlb_flush_page(&as->pt, va);
		return 0;
	}
	invlpg(va);                /* another CPU or thread was faster: only our TLB is old */
	return 0;
}

/* What a fault on an object carries across the time without as->lock. */
struct object_fault {
	struct map_object *o;
	uint64_t va, index;        /* page address, its number in the object */
	uint64_t seq;
	int pf, prot, flags;
	uint64_t filled;           /* bytes of the page that come from the object */
	uint64_t around_va;        /* first of the neighbours */
	int naround;
	struct page *page;         /* the object's page, or its private copy */
	bool copied;
	struct page *around[AROUND];
};

/* Choose the neighbours: full object pages of m in the aligned window around va. Requires as->lock. */
static void
around_choose(struct object_fault *of, const struct mapping *m)
{
	uint64_t lo = of->va & ~(AROUND * PAGE_SIZE - 1), hi = lo + AROUND * PAGE_SIZE;
	uint64_t end = m->hi;

	if (m->filelen != ~0ul)
		end = m->lo + PAGE_DOWN(m->filelen);
	of->around_va = lo > m->lo ? lo : m->lo;
	hi = hi < end ? hi : end;
	of->naround = hi > of->around_va && !(of->pf & PF_W) && of->o->ops->peek ? (hi - of->around_va) / PAGE_SIZE : 0;
}

/* Get the page (and its neighbours). No lock held; may sleep. */
static int
object_ask(struct object_fault *of)
{
	struct map_object *o = of->o;
	bool shared = of->flags & MAP_SHARED, write = of->pf & PF_W;

	if (of->naround) {
		uint64_t back = (of->va - of->around_va) / PAGE_SIZE;
		o->ops->peek(o, of->index - back, of->around, of->naround);
		if (back < (uint64_t)of->naround && of->around[back]) {
			of->page = of->around[back];
			of->around[back] = NULL;
		}
	}
	if (!of->page) {
		int err = o->ops->get_page(o, of->index, write && shared, &of->page);
		if (err)
			return err;
	}
	if (shared || (!write && of->filled == PAGE_SIZE))
		return 0;
	struct page *copy = page_alloc(PG_ANON);
	if (!copy)
		return -ENOMEM;
	page_copy(copy, of->page);
	if (of->filled < PAGE_SIZE)
		memset((char *)page_virt(copy) + of->filled, 0, PAGE_SIZE - of->filled);
	page_unref(of->page);
	of->page = copy;
	of->copied = true;
	return 0;
}

/* Install `p` at va if nothing is there. Takes over the reference if it does. Requires as->lock and object->lock. */
static bool
install(struct aspace *as, uint64_t va, struct page *p, pte_t flags)
{
	pte_t *pte = pt_walk(&as->pt, va, true);

	if (!pte || *pte)
		return false;
	*pte = page_phys(p) | flags;
	__atomic_add_fetch(&as->rss, 1, __ATOMIC_RELAXED);
	return true;
}

/* Everything is looked up again: the world may have changed while the object was asked. Returns 0 or -EAGAIN (start over). */
static int
object_install(struct aspace *as, struct object_fault *of)
{
	struct mapping *m = mm_lookup(as, of->va);
	bool write = of->pf & PF_W;
	int err = -EAGAIN;

	if (!m || m->object != of->o || m->prot != of->prot || m->flags != of->flags ||
	    m->index + (of->va - m->lo) / PAGE_SIZE != of->index)
		return -EAGAIN;
	spin_lock(&of->o->lock);
	if (of->o->seq != of->seq)
		goto out;
	pte_t *pte = pt_walk(&as->pt, of->va, true);
	if (!pte) {
		err = -ENOMEM;
		goto out;
	}
	err = 0;
	m->touched = true;
	if (install(as, of->va, of->page, leaf_flags(m, write || (of->copied && m->prot & PROT_WRITE && !(of->pf & PF_I)))))
		of->page = NULL;
	else if (write && !of->copied && (*pte & PTE_ADDR) == page_phys(of->page))
		*pte = (*pte & PTE_ADDR) | leaf_flags(m, true);        /* shared: now it may be written */
	for (int i = 0; i < of->naround; i++) {
		uint64_t va = of->around_va + i * PAGE_SIZE;
		if (of->around[i] && va >= m->lo && va < m->hi && install(as, va, of->around[i], leaf_flags(m, false)))
			of->around[i] = NULL;
	}
out:
	spin_unlock(&of->o->lock);
	if (!err)
		tlb_flush_page(&as->pt, of->va);
	return err;
}

/* A fault on a page that an object provides. Called with as->lock held, returns with it released.
 * Returns 0, -EAGAIN (start over), -EIO, -ERANGE, -ENOMEM. */
static int
fault_object(struct aspace *as, struct mapping *m, uint64_t va, int pf)
{
	struct object_fault of = { .o = m->object, .va = va, .pf = pf, .prot = m->prot, .flags = m->flags };

	of.index = m->index + (va - m->lo) / PAGE_SIZE;
	of.filled = page_filled(m, va);
	around_choose(&of, m);
	of.o->ops->ref(of.o);
	spin_lock(&of.o->lock);
	of.seq = of.o->seq;
	spin_unlock(&of.o->lock);
	mutex_unlock(&as->lock);

	int err = object_ask(&of);
	if (!err) {
		mutex_lock(&as->lock);
		err = object_install(as, &of);
		mutex_unlock(&as->lock);
	}
	if (of.page)
		page_unref(of.page);
	for (int i = 0; i < of.naround; i++)
		if (of.around[i])
			page_unref(of.around[i]);
	of.o->ops->unref(of.o);
	return err;
}

/* One attempt. Returns 0, -EAGAIN: something changed, start over; or mm_fault's errors. */
static int
fault_once(struct aspace *as, uint64_t va, int pf)
{
	int err = -EFAULT;

	mutex_lock(&as->lock);
	struct mapping *m = mm_lookup(as, va);
	if (!m)
		m = mm_grow_stack(as, va);
	if (!m || !access_allowed(m, pf))
		goto out;
	pte_t *pte = pt_walk(&as->pt, va, true);
	err = -ENOMEM;
	if (!pte)
		goto out;
	m->touched = true;
	pte_t e = *pte;
	if (e && !(e & PTE_P)) {                   /* was PROT_NONE; mprotect has allowed it again */
		entry_change(m, pte, e, (e & PTE_ADDR) | leaf_flags(m, false));
		err = 0;                           /* if it is not to be written, or was truncated: the next fault tells */
	} else if (e)
		err = fault_present(as, m, pte, e, va, pf);
	else if (page_is_anonymous(m, va))
		err = fault_zero(as, m, pte, va, pf);
	else
		err = -EAGAIN;
	if (err == -EAGAIN)
		return fault_object(as, m, va, pf);    /* releases as->lock */
out:
	mutex_unlock(&as->lock);
	return err;
}

/* Make the access (pf: PF_W, PF_I bits) at va possible, if the mappings allow it.
 *
 * Requires: no spinlock held; may sleep for I/O.
 * Returns:  0: try the access again. -EFAULT: not mapped or not allowed. -EIO, -ERANGE: the object has no such page. -ENOMEM.
 */
int
mm_fault(struct aspace *as, uint64_t va, int pf)
{
	int err;

	va = PAGE_DOWN(va);
	if (va >= USER_END)
		return -EFAULT;
	do
		err = fault_once(as, va, pf);
	while (err == -EAGAIN);
	return err;
}

/* Is there a mapping at va, so that the access was forbidden rather than to nowhere? */
static bool
is_mapped(struct aspace *as, uint64_t va)
{
	bool mapped;

	mutex_lock(&as->lock);
	mapped = mm_lookup(as, PAGE_DOWN(va)) != NULL;
	mutex_unlock(&as->lock);
	return mapped;
}

/* The trap layer's question: did you deal with this page fault? */
static bool
page_fault(struct trapframe *tf)
{
	uint64_t va = read_cr2();
	struct thread *t = current();

	if (!t || !t->proc)
		return false;
	t->fault_err = -EFAULT;
	if (va >= USER_END || (tf->error & PF_RSVD))
		return false;
	if ((tf->cs & 3) && !(tf->error & PF_U))
		return false;      /* the processor's own access for a user instruction (iret, in emulation): SMAP forbids it for good */
	if (!irq_enabled() || this_cpu->in_irq)
		return false;      /* kernel bug: user memory touched where nothing may sleep */
	t->proc->minflt++;
	for (int tries = 0; (t->fault_err = mm_fault(t->proc->as, va, tf->error)) == -ENOMEM && oom_relieve(tries); tries++)
		;
	if (t->fault_err == -EFAULT && is_mapped(t->proc->as, va))
		t->fault_err = -EACCES;
	return t->fault_err == 0;
}

static void
fault_init(void)
{
	trap_register(VEC_PF, page_fault);
}

INITCALL(5, fault_init);
