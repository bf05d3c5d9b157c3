/* fd.c - descriptor tables.                                                                   (lab 7)
 *
 * Idea.       A table is an array of file pointers and two bitmaps: used, and close-on-exec. It hangs in the
 *             process's SLOT_FILES, is copied by fork and shared by clone(CLONE_FILES), and doubles when it
 *             is full.
 * Interface.  file.h: fd_get, fd_install, fd_close; fd.h.
 * Invariants. I1 bit fd of `used` is set iff file[fd] is not NULL.  I2 all descriptors below `lowest` are
 * used.
 *             I3 only the threads of its processes change a table, so the only thread of an unshared table
 *             may read it without the lock; /proc reads others' tables with it.
 * Locks.      t->lock RANK(7, 62) for everything in the table; slot_lock RANK(7, 63) keeps a table from going
 *             while /proc looks. Files are put after the lock is released.
 */
#include "fs/vfs/fd.h"

#include "fs/vfs/lock.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/abi/sched.h"
#include "lib/kern/string.h"

#define FD_FIRST 64
#define FD_MOST 65536        /* whatever RLIMIT_NOFILE says */

/* key: a atomic; l lock */
struct fdtable {
	struct spinlock lock;
	uint32_t refs;             /* [a] processes */
	int size;                  /* [l] a multiple of 64 */
	int lowest;                /* [l] I2 */
	struct file **file;        /* [l] one allocation: file[size], then the bitmaps */
	uint64_t *used, *cloexec;  /* [l] */
};

static struct spinlock slot_lock = SPINLOCK("files slot", RANK(7, 63));

/* ---- tables ---- */

static size_t
array_bytes(int size)
{
	return size * sizeof(struct file *) + size / 64 * 2 * sizeof(uint64_t);
}

static void
set_array(struct fdtable *t, struct file **array, int size)
{
	t->file = array;
	t->used = (uint64_t *)(array + size);
	t->cloexec = t->used + size / 64;
	t->size = size;
}

static struct fdtable *
table_new(int size)
{
	struct fdtable *t = kmalloc(sizeof *t);
	struct file **array = t ? kzalloc(array_bytes(size)) : NULL;

	if (!array) {
		kfree(t);
		return NULL;
	}
	spin_init(&t->lock, "descriptors", RANK(7, 62));
	t->refs = 1;
	t->lowest = 0;
	set_array(t, array, size);
	return t;
}

/* Make room for descriptor fd. 0, -EMFILE, -ENOMEM. Requires: no lock. */
static int
table_grow(struct fdtable *t, int fd)
{
	int size = t->size;

	if (fd >= FD_MOST)
		return -EMFILE;
	while (size <= fd)
		size *= 2;
	struct file **array = kzalloc(array_bytes(size)), **old = NULL;
	if (!array)
		return -ENOMEM;
	spin_lock(&t->lock);
	if (size > t->size) {
		int n = t->size;
		uint64_t *used = t->used, *cloexec = t->cloexec;
		old = t->file;
		set_array(t, array, size);
		memcpy(t->file, old, n * sizeof *old);
		memcpy(t->used, used, n / 8);
		memcpy(t->cloexec, cloexec, n / 8);
		array = NULL;
	}
	spin_unlock(&t->lock);
	kfree(array);
	kfree(old);
	return 0;
}

struct fdtable *
fdtable_current(void)
{
	struct proc *p = current_proc();
	return p ? p->slot[SLOT_FILES] : NULL;
}

/* The current process's table, made if it has none (init). NULL: kernel thread or no memory. */
static struct fdtable *
table_get(void)
{
	struct proc *p = current_proc();
	if (p && !p->slot[SLOT_FILES])
		p->slot[SLOT_FILES] = table_new(FD_FIRST);
	return p ? p->slot[SLOT_FILES] : NULL;
}

/* Lowest unused descriptor >= min, which may be t->size. Requires: t->lock. */
static int
lowest_free(struct fdtable *t, int min)
{
	int fd = min > t->lowest ? min : t->lowest;

	for (int w = fd / 64; w < t->size / 64; w++) {
		uint64_t unused = ~t->used[w];
		if (w == fd / 64)
			unused &= ~0ul << fd % 64;
		if (unused)
			return w * 64 + __builtin_ctzl(unused);
	}
	return fd > t->size ? fd : t->size;
}

/* Requires: t->lock, file[fd] NULL. */
static void
place(struct fdtable *t, int fd, struct file *f, bool cloexec)
{
	uint64_t bit = 1ul << fd % 64;

	t->file[fd] = f;
	t->used[fd / 64] |= bit;
	if (cloexec)
		t->cloexec[fd / 64] |= bit;
	else
		t->cloexec[fd / 64] &= ~bit;
	if (fd == t->lowest)
		t->lowest++;
}

/* Take the file out; NULL if fd is not open. Requires: t->lock. */
static struct file *
take(struct fdtable *t, int fd)
{
	struct file *f = (unsigned)fd < (unsigned)t->size ? t->file[fd] : NULL;

	if (f) {
		t->file[fd] = NULL;
		t->used[fd / 64] &= ~(1ul << fd % 64);
		t->cloexec[fd / 64] &= ~(1ul << fd % 64);
		if (fd < t->lowest)
			t->lowest = fd;
	}
	return f;
}

/* ---- the current process's descriptors ---- */

static int
fd_limit(void)
{
	uint64_t max = current_proc()->rlim[RLIMIT_NOFILE].rlim_cur;
	return max < FD_MOST ? (int)max : FD_MOST;
}

/* The file of a used descriptor, referenced, or NULL. */
static inline struct file *
lookup(struct fdtable *t, int fd)
{
	struct file *f = (unsigned)fd < (unsigned)t->size ? t->file[fd] : NULL;
	return f ? file_ref(f) : NULL;
}

static __attribute__((noinline)) struct file *
fd_get_shared(struct fdtable *t, int fd)
{
	spin_lock(&t->lock);
	struct file *f = lookup(t, fd);
	spin_unlock(&t->lock);
	return f;
}

/* The file behind a descriptor, referenced; NULL when it is not open. No lock for a table of our own (I3). */
struct file *
fd_get(int fd)
{
	struct proc *p = current_proc();
	struct fdtable *t = p ? p->slot[SLOT_FILES] : NULL;

	if (!t)
		return NULL;
	if (t->refs > 1 || p->nthreads > 1)
		return fd_get_shared(t, fd);
	return lookup(t, fd);
}

/* Give the file the lowest free descriptor >= min. Takes over the reference, also on failure.
 * Returns: the descriptor; -EMFILE, -EINVAL (min beyond the limit: the caller's F_DUPFD), -ENOMEM. */
int
fd_install(struct file *f, int min, bool cloexec)
{
	struct fdtable *t = table_get();
	int limit = t ? fd_limit() : 0, fd = t ? -EMFILE : -ENOMEM, err = 0;

	while (t && !err) {
		spin_lock(&t->lock);
		fd = lowest_free(t, min);
		if (fd >= limit)
			err = -EMFILE;
		else if (fd < t->size)
			place(t, fd, f, cloexec);
		bool done = fd < t->size;
		spin_unlock(&t->lock);
		if (!err && done)
			return fd;
		if (!err)
			err = table_grow(t, fd);
	}
	file_put(f);
	return err ? err : fd;
}

/* A descriptor of this table is no more: POSIX drops the table's byte-range locks on that file. */
static void
close_file(struct fdtable *t, struct file *f)
{
	if (f->inode)
		flk_drop(f->inode, t);
	file_put(f);
}

int
fd_close(int fd)
{
	struct fdtable *t = fdtable_current();
	if (!t)
		return -EBADF;
	spin_lock(&t->lock);
	struct file *f = take(t, fd);
	spin_unlock(&t->lock);
	if (!f)
		return -EBADF;
	close_file(t, f);
	return 0;
}

int
fd_dup(int fd, int min, bool cloexec)
{
	struct file *f = fd_get(fd);
	if (!f)
		return -EBADF;
	if (min < 0 || min >= fd_limit()) {
		file_put(f);
		return -EINVAL;
	}
	return fd_install(f, min, cloexec);
}

int
fd_dup_to(int fd, int to, bool cloexec)
{
	struct fdtable *t = table_get();
	struct file *f = t ? fd_get(fd) : NULL;

	if (!f)
		return -EBADF;
	int err = to < 0 || to >= fd_limit() ? -EBADF : 0;
	if (!err && to >= t->size)
		err = table_grow(t, to);
	if (err) {
		file_put(f);
		return err;
	}
	spin_lock(&t->lock);
	struct file *old = take(t, to);
	place(t, to, f, cloexec);
	spin_unlock(&t->lock);
	if (old)
		close_file(t, old);
	return to;
}

int
fd_get_cloexec(int fd)
{
	struct fdtable *t = fdtable_current();
	int r = -EBADF;

	if (!t)
		return r;
	spin_lock(&t->lock);
	if ((unsigned)fd < (unsigned)t->size && t->file[fd])
		r = t->cloexec[fd / 64] >> fd % 64 & 1;
	spin_unlock(&t->lock);
	return r;
}

int
fd_set_cloexec(int fd, bool on)
{
	struct fdtable *t = fdtable_current();
	int r = -EBADF;

	if (!t)
		return r;
	spin_lock(&t->lock);
	if ((unsigned)fd < (unsigned)t->size && t->file[fd]) {
		uint64_t bit = 1ul << fd % 64;
		t->cloexec[fd / 64] = (t->cloexec[fd / 64] & ~bit) | (on ? bit : 0);
		r = 0;
	}
	spin_unlock(&t->lock);
	return r;
}

/* Next used (or close-on-exec) descriptor >= fd, or -1. Requires: t->lock. */
static int
next_set(struct fdtable *t, const uint64_t *bits, int fd)
{
	for (; fd >= 0 && fd < t->size; fd = (fd / 64 + 1) * 64) {
		uint64_t w = bits[fd / 64] >> fd % 64;
		if (w)
			return fd + __builtin_ctzl(w);
	}
	return -1;
}

static void
close_between(struct fdtable *t, unsigned lo, unsigned hi, bool only_cloexec)
{
	for (int fd = lo; fd >= 0 && (unsigned)fd <= hi;) {
		spin_lock(&t->lock);
		fd = next_set(t, only_cloexec ? t->cloexec : t->used, fd);
		struct file *f = fd >= 0 && (unsigned)fd <= hi ? take(t, fd) : NULL;
		spin_unlock(&t->lock);
		if (!f)
			return;
		close_file(t, f);
	}
}

void
fd_close_range(unsigned lo, unsigned hi, bool only_cloexec)
{
	if (fdtable_current())
		close_between(fdtable_current(), lo, hi, only_cloexec);
}

/* ---- other processes' ---- */

struct file *
fd_get_of(struct proc *p, int fd)
{
	struct file *f = NULL;

	spin_lock(&slot_lock);
	struct fdtable *t = p->slot[SLOT_FILES];
	if (t) {
		spin_lock(&t->lock);
		f = lookup(t, fd);
		spin_unlock(&t->lock);
	}
	spin_unlock(&slot_lock);
	return f;
}

int
fd_next_of(struct proc *p, int fd)
{
	int next = -1;

	spin_lock(&slot_lock);
	struct fdtable *t = p->slot[SLOT_FILES];
	if (t) {
		spin_lock(&t->lock);
		next = next_set(t, t->used, fd);
		spin_unlock(&t->lock);
	}
	spin_unlock(&slot_lock);
	return next;
}

/* ---- process hooks ---- */

static void (*first_fn)(void);

void
fd_set_first(void (*fn)(void))
{
	first_fn = fn;
}

/* A copy of t: same files, one more reference each. NULL: no memory. */
static struct fdtable *
table_copy(struct fdtable *t)
{
	struct fdtable *c = NULL;

	for (;;) {
		int size = t->size;
		c = table_new(size);
		if (!c)
			return NULL;
		spin_lock(&t->lock);
		if (t->size == size)
			break;
		spin_unlock(&t->lock);
		kfree(c->file);
		kfree(c);
	}
	for (int fd = next_set(t, t->used, 0); fd >= 0; fd = next_set(t, t->used, fd + 1))
		c->file[fd] = file_ref(t->file[fd]);
	memcpy(c->used, t->used, t->size / 8);
	memcpy(c->cloexec, t->cloexec, t->size / 8);
	c->lowest = t->lowest;
	spin_unlock(&t->lock);
	return c;
}

static int
files_fork(struct proc *parent, struct proc *child, uint64_t flags)
{
	struct fdtable *t = parent ? parent->slot[SLOT_FILES] : NULL;

	if (!parent && first_fn && current_proc() == child)
		first_fn();
	if (!t)
		return 0;
	if (flags & CLONE_FILES) {
		__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
		child->slot[SLOT_FILES] = t;
		return 0;
	}
	child->slot[SLOT_FILES] = table_copy(t);
	return child->slot[SLOT_FILES] ? 0 : -ENOMEM;
}

static void
table_put(struct fdtable *t)
{
	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
		return;
	close_between(t, 0, FD_MOST, false);
	kfree(t->file);
	kfree(t);
}

/* exec: a table of one's own, without the close-on-exec files. When there is no memory for a copy the shared
 * one is used up. */
static void
files_exec(struct proc *p)
{
	struct fdtable *t = p->slot[SLOT_FILES];

	if (!t)
		return;
	struct fdtable *own = t->refs > 1 ? table_copy(t) : NULL;
	if (own) {
		spin_lock(&slot_lock);
		p->slot[SLOT_FILES] = own;
		spin_unlock(&slot_lock);
		table_put(t);
		t = own;
	}
	close_between(t, 0, FD_MOST, true);
}

static void
files_exit(struct proc *p)
{
	spin_lock(&slot_lock);
	struct fdtable *t = p->slot[SLOT_FILES];
	p->slot[SLOT_FILES] = NULL;
	spin_unlock(&slot_lock);
	if (t)
		table_put(t);
}

static const struct proc_ops files_proc_ops = { .fork = files_fork, .exec = files_exec, .exit = files_exit };

static void
fd_init(void)
{
	proc_register(SLOT_FILES, &files_proc_ops);
}
INITCALL(7, fd_init);
