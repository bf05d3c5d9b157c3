/* mmap.c - the system calls on address spaces.                                               (lab 5)
 *
 * Idea.       Each call checks its arguments, then edits the set of mappings (mapping.c) and the entries under it (leaf.c). No page is
 *             allocated here: faults do that.
 * Interface.  mm_map and mm_set_fd_hook for the file layer; the calls are registered on the last lines.
 * Invariants. mapping.h's.
 * Locks.      as->lock; released by mm_unlock, which ends what was unmapped.
 */
#include "kern/boot/initcall.h"
#include "kern/proc/proc.h"
#include "kern/trap/syscall.h"
#include "kern/vm/vm.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/abi/sysno.h"

#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)
#define MAPPING_NOWRITE (1 << 30)    /* ours, in mapping->flags: shared, of a file not open for writing; mprotect may not add it */
#define MADV_LAST 25                 /* the largest advice Linux 6.1 knows */
#define KEPT_FLAGS (MAP_GROWSDOWN | MAP_STACK | MAP_ANONYMOUS | MAPPING_NOWRITE)

static int (*fd_hook)(int fd, int prot, int flags, struct map_object **out);

void
mm_set_fd_hook(int (*fn)(int fd, int prot, int flags, struct map_object **out))
{
	fd_hook = fn;
}

/* May the process have `more` further bytes of address space? Requires as->lock. */
static bool
within_limit(struct aspace *as, uint64_t more)
{
	struct proc *p = current_proc();
	uint64_t limit = p ? p->rlim[RLIMIT_AS].rlim_cur : RLIM_INFINITY;

	return limit == RLIM_INFINITY || vm_of(as)->npages * PAGE_SIZE + more <= limit;
}

/* The work of mmap.
 *
 * Requires: len > 0 and page-rounded; o referenced by the caller (the mapping takes its own reference) or NULL; off page-aligned.
 * Returns:  the address; -EINVAL, -ENOMEM (no room, limits, more than the machine has), -EEXIST (MAP_FIXED_NOREPLACE).
 */
long
mm_map(struct aspace *as, uint64_t hint, uint64_t len, int prot, int flags, struct map_object *o, uint64_t off)
{
	struct mapping m = { .prot = prot & PROT_ALL, .object = o, .index = off / PAGE_SIZE, .filelen = ~0ul,
		.flags = (flags & MAP_SHARED ? MAP_SHARED : MAP_PRIVATE) | (flags & KEPT_FLAGS) };
	bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	long r = -ENOMEM;

	if (fixed && (hint & (PAGE_SIZE - 1)))
		return -EINVAL;
	if (len > USER_END || (fixed && hint > USER_END - len))
		return -ENOMEM;
	if (o && (flags & MAP_GROWSDOWN))
		return -EINVAL;                    /* only zeros grow: pages of an object have their places */
	if (fixed && hint < MM_LOWEST)
		return -EPERM;
	if (!o && (prot & PROT_WRITE) && !(flags & MAP_NORESERVE) && len / PAGE_SIZE > page_count_total())
		return -ENOMEM;
	mutex_lock(&as->lock);
	if (!within_limit(as, len))
		goto out;
	m.lo = fixed ? hint : mm_find_area(as, PAGE_DOWN(hint), len);
	if (!m.lo)
		goto out;
	m.hi = m.lo + len;
	if (flags & MAP_FIXED_NOREPLACE && !mm_range_free(as, m.lo, m.hi)) {
		r = -EEXIST;
		goto out;
	}
	if (fixed && (r = mm_unmap(as, m.lo, m.hi)) < 0)
		goto out;
	r = mm_insert(as, &m);
	if (!r)
		r = m.lo;
out:
	mm_unlock(as);
	return r;
}

/* The object behind a descriptor, referenced. A shared mapping that is only read may be made writable later if the file was
 * opened for that: ask for the most first, and note when it is refused. */
static int
object_of_fd(int fd, int prot, uint64_t *flags, struct map_object **out)
{
	if (!fd_hook)
		return -EBADF;
	if (!(*flags & MAP_SHARED) || (prot & PROT_WRITE))
		return fd_hook(fd, prot, *flags, out);
	int err = fd_hook(fd, prot | PROT_WRITE, *flags, out);
	if (err != -EACCES)
		return err;
	*flags |= MAPPING_NOWRITE;
	return fd_hook(fd, prot, *flags, out);
}

static long
sys_mmap(uint64_t addr, uint64_t len, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t off)
{
	struct map_object *o = NULL;
	int type = flags & MAP_TYPE, err = 0;

	if (!len || (off & (PAGE_SIZE - 1)) || (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE))
		return -EINVAL;
	if (len > USER_END)
		return -ENOMEM;
	len = PAGE_UP(len);
	flags &= ~(uint64_t)MAPPING_NOWRITE;
	if (!(flags & MAP_ANONYMOUS))
		err = object_of_fd((int)fd, prot, &flags, &o);
	else if (type != MAP_PRIVATE)
		err = len / PAGE_SIZE > page_count_total() ? -ENOMEM : shm_new(len / PAGE_SIZE, &o);
	if (err)
		return err;
	if (!(flags & MAP_ANONYMOUS) && off + len < off)
		err = -EOVERFLOW;
	long r = err ? err : mm_map(current_proc()->as, addr, len, prot, flags, o, flags & MAP_ANONYMOUS ? 0 : off);
	if (o)
		o->ops->unref(o);
	return r;
}

/* Checks of munmap, mprotect, madvise, msync: a page-aligned range below USER_END; len is rounded up. */
static bool
range_ok(uint64_t addr, uint64_t *len)
{
	if ((addr & (PAGE_SIZE - 1)) || *len > USER_END || addr > USER_END - PAGE_UP(*len))
		return false;
	*len = PAGE_UP(*len);
	return true;
}

static long
sys_munmap(uint64_t addr, uint64_t len)
{
	struct aspace *as = current_proc()->as;

	if (!len || !range_ok(addr, &len))
		return -EINVAL;
	mutex_lock(&as->lock);
	long r = mm_unmap(as, addr, addr + len);
	mm_unlock(as);
	return r;
}

/* Is every page of [lo, hi) in some mapping? Requires as->lock. */
static bool
range_mapped(struct aspace *as, uint64_t lo, uint64_t hi)
{
	struct vm *vm = vm_of(as);

	for (int i = mm_find(as, lo); lo < hi; i++) {
		if (i == vm->n || vm->map[i]->lo > lo)
			return false;
		lo = vm->map[i]->hi;
	}
	return true;
}

static long
sys_mprotect(uint64_t addr, uint64_t len, uint64_t prot)
{
	struct aspace *as = current_proc()->as;
	struct vm *vm = vm_of(as);
	long r = -ENOMEM;

	if (!range_ok(addr, &len) || (prot & ~(uint64_t)(PROT_ALL | PROT_GROWSDOWN | PROT_GROWSUP)))
		return (addr & (PAGE_SIZE - 1)) || (prot & ~(uint64_t)PROT_ALL) ? -EINVAL : -ENOMEM;
	if (!len)
		return 0;
	mutex_lock(&as->lock);
	if (!range_mapped(as, addr, addr + len))
		goto out;
	for (int i = mm_find(as, addr); i < vm->n && vm->map[i]->lo < addr + len; i++) {
		r = -EACCES;
		if ((prot & PROT_WRITE) && vm->map[i]->flags & MAPPING_NOWRITE)
			goto out;
	}
	r = mm_isolate(as, addr, addr + len);
	for (int i = mm_find(as, addr); !r && i < vm->n && vm->map[i]->lo < addr + len; i++) {
		vm->map[i]->prot = prot & PROT_ALL;
		leaf_protect(as, vm->map[i], vm->map[i]->lo, vm->map[i]->hi);
	}
out:
	mm_unlock(as);
	return r;
}

/* Extend (or make) the heap so that it ends at hi. Requires as->lock; room is checked. */
static int
brk_grow(struct aspace *as, uint64_t lo, uint64_t hi)
{
	struct mapping m = { .lo = lo, .hi = hi, .prot = PROT_READ | PROT_WRITE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS, .filelen = ~0ul };

	if (hi > vm_of(as)->mmap_top || !mm_range_free(as, lo, hi) || !within_limit(as, hi - lo) ||
	    (hi - lo) / PAGE_SIZE > page_count_total())
		return -ENOMEM;
	return mm_insert(as, &m);
}

/* As Linux: returns the new break, or the old one when it cannot be. */
static long
sys_brk(uint64_t want)
{
	struct aspace *as = current_proc()->as;

	mutex_lock(&as->lock);
	uint64_t old = PAGE_UP(as->brk), new = PAGE_UP(want);
	if (want >= as->brk_start && want < USER_END) {
		int err = new > old ? brk_grow(as, old, new) : new < old ? mm_unmap(as, new, old) : 0;
		if (!err)
			as->brk = want;
	}
	uint64_t now = as->brk;
	mm_unlock(as);
	return now;
}

/* Grow m (which ends at hi) in place by `more` bytes, if there is room. */
static bool
grow_in_place(struct aspace *as, struct mapping *m, uint64_t more)
{
	if (m->hi + more > vm_of(as)->mmap_top || !mm_range_free(as, m->hi, m->hi + more))
		return false;
	if (m->object) {
		spin_lock(&m->object->lock);
		m->hi += more;
		spin_unlock(&m->object->lock);
	} else {
		m->hi += more;
	}
	vm_of(as)->npages += more / PAGE_SIZE;
	return true;
}

/* Make tables at `to` for the entries that exist in [addr, addr+len). */
static bool
tables_make(struct aspace *as, uint64_t addr, uint64_t len, uint64_t to)
{
	uint64_t at = addr;
	unsigned n;

	for (; pt_next(&as->pt, &at, addr + len, &n); at += n * PAGE_SIZE)
		if (!pt_walk(&as->pt, at - addr + to, true) || !pt_walk(&as->pt, at - addr + to + (n - 1) * PAGE_SIZE, true))
			return false;
	return true;
}

/* Move the mapping [addr, addr+old) to a place of new bytes at `to`. Requires as->lock; the range is one mapping's.
 * All tables are made first, so that moving the entries cannot fail. */
static long
remap_move(struct aspace *as, uint64_t addr, uint64_t old, uint64_t new, uint64_t to)
{
	int err = mm_isolate(as, addr, addr + old);
	struct mapping *m = mm_lookup(as, addr), n;

	if (err)
		return err;
	n = *m;
	n.lo = to;
	n.hi = to + new;
	if (!tables_make(as, addr, old, to))
		return -ENOMEM;
	if ((err = mm_insert(as, &n)) < 0)
		return err;
	leaf_move(as, m, addr, to, old);
	err = mm_unmap(as, addr, addr + old);      /* splits nothing: cannot fail */
	return err ? err : (long)to;
}

static long
sys_mremap(uint64_t addr, uint64_t old, uint64_t new, uint64_t flags, uint64_t fixed)
{
	struct aspace *as = current_proc()->as;
	long r = -EFAULT;

	if (flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED) || !new || new > USER_END || !range_ok(addr, &old))
		return -EINVAL;
	new = PAGE_UP(new);
	if (flags & MREMAP_FIXED && (!(flags & MREMAP_MAYMOVE) || !range_ok(fixed, &new) ||
	    (fixed < addr + old && addr < fixed + new)))
		return -EINVAL;
	if (flags & MREMAP_FIXED && fixed < MM_LOWEST)
		return -EPERM;
	mutex_lock(&as->lock);
	struct mapping *m = mm_lookup(as, addr);
	if (!m || addr + old > m->hi || !old)
		goto out;
	r = -ENOMEM;
	if (new > old && (!within_limit(as, new - old) || (!m->object && new / PAGE_SIZE > page_count_total())))
		goto out;
	if (flags & MREMAP_FIXED) {
		r = mm_unmap(as, fixed, fixed + new);
		if (!r && new < old)
			r = mm_unmap(as, addr + new, addr + old);
		if (!r)
			r = remap_move(as, addr, new < old ? new : old, new, fixed);
	} else if (new <= old) {
		r = new < old ? mm_unmap(as, addr + new, addr + old) : 0;
		r = r ? r : (long)addr;
	} else if (addr + old == m->hi && grow_in_place(as, m, new - old)) {
		r = addr;
	} else if (flags & MREMAP_MAYMOVE) {
		uint64_t to = mm_find_area(as, 0, new);
		r = to ? remap_move(as, addr, old, new, to) : -ENOMEM;
	}
out:
	mm_unlock(as);
	return r;
}

/* Only MADV_DONTNEED (and FREE) change what a program can see; the rest is advice, and may be ignored. */
static long
sys_madvise(uint64_t addr, uint64_t len, uint64_t advice)
{
	struct aspace *as = current_proc()->as;
	struct vm *vm = vm_of(as);

	if (!range_ok(addr, &len))
		return -EINVAL;
	if (advice > MADV_LAST)
		return -EINVAL;
	mutex_lock(&as->lock);
	long r = range_mapped(as, addr, addr + len) ? 0 : -ENOMEM;
	if (advice == MADV_DONTNEED || advice == MADV_FREE)
		for (int i = mm_find(as, addr); i < vm->n && vm->map[i]->lo < addr + len; i++) {
			struct mapping *m = vm->map[i];
			leaf_zap(as, m, m->lo > addr ? m->lo : addr, m->hi < addr + len ? m->hi : addr + len, true);
		}
	mm_unlock(as);
	return r;
}

/* Write what shared mappings in the range changed. Each object is synced without as->lock, then looking goes on behind it. */
static long
sys_msync(uint64_t addr, uint64_t len, uint64_t flags)
{
	struct aspace *as = current_proc()->as;
	uint64_t end;
	long r = 0;

	if ((flags & ~7ul) || ((flags & MS_ASYNC) && (flags & MS_SYNC)) || (addr & (PAGE_SIZE - 1)))
		return -EINVAL;
	if (!range_ok(addr, &len))
		return -ENOMEM;
	for (end = addr + len; addr < end && !r;) {
		struct map_object *o = NULL;
		uint64_t first = 0, last = 0;

		mutex_lock(&as->lock);
		struct mapping *m = mm_lookup(as, addr);
		if (m && m->object && mapping_shared(m) && m->object->ops->sync) {
			o = m->object;
			o->ops->ref(o);
			first = m->index + (addr - m->lo) / PAGE_SIZE;
			last = m->index + ((m->hi < end ? m->hi : end) - m->lo) / PAGE_SIZE - 1;
		}
		addr = m ? m->hi : end;
		r = m ? 0 : -ENOMEM;
		mm_unlock(as);
		if (o) {
			r = flags & MS_SYNC ? o->ops->sync(o, first, last) : 0;
			o->ops->unref(o);
		}
	}
	return r;
}

static void
mmap_init(void)
{
	SYSCALL_REG(mmap, sys_mmap);
	SYSCALL_REG(munmap, sys_munmap);
	SYSCALL_REG(mprotect, sys_mprotect);
	SYSCALL_REG(brk, sys_brk);
	SYSCALL_REG(mremap, sys_mremap);
	SYSCALL_REG(madvise, sys_madvise);
	SYSCALL_REG(msync, sys_msync);
}

INITCALL(5, mmap_init);
