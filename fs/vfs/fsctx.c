/* fsctx.c - a process's root and working directory.                                           (lab 7)
 *
 * Idea.       Two paths in a struct that hangs in the process's SLOT_FS: copied by fork, shared by
 *             clone(CLONE_FS). Kernel threads, and init before its first call, use the kernel's own context:
 *             the root of everything.
 * Interface.  fsctx.h.
 * Invariants. I1 a context in use holds references on both paths.
 * Locks.      slot_lock RANK(7, 61), then c->lock RANK(7, 60) for the pointers; old paths are put after it is
 *             released (that may sleep). The lock-free walker reads them without: what it finds stays a path
 *             object, and the sequence check decides (dentry.c).
 */
#include "fs/vfs/fsctx.h"

#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/abi/sched.h"

static struct spinlock slot_lock = SPINLOCK("fs slot", RANK(7, 61));     /* exit against fsctx_proc_paths */
static struct fsctx kernel_ctx = { .lock = SPINLOCK("fs context", RANK(7, 60)), .refs = 1 };

struct fsctx *
fsctx_of(struct proc *p)
{
	return p->slot[SLOT_FS];
}

struct fsctx *
fsctx_current(void)
{
	struct proc *p = current_proc();
	struct fsctx *c = p ? p->slot[SLOT_FS] : NULL;
	return c ? c : &kernel_ctx;
}

void
fsctx_paths(struct fsctx *c, struct path *root, struct path *cwd)
{
	spin_lock(&c->lock);
	if (root)
		*root = path_get(&c->root);
	if (cwd)
		*cwd = path_get(&c->cwd);
	spin_unlock(&c->lock);
}

int
fsctx_proc_paths(struct proc *p, struct path *root, struct path *cwd)
{
	spin_lock(&slot_lock);
	struct fsctx *c = p->slot[SLOT_FS];
	if (c)
		fsctx_paths(c, root, cwd);
	spin_unlock(&slot_lock);
	return c ? 0 : -ESRCH;
}

static void
set_path(struct path *which, struct path *p)
{
	struct fsctx *c = fsctx_current();

	spin_lock(&c->lock);
	struct path old = *which;
	*which = *p;
	spin_unlock(&c->lock);
	path_put(&old);
}

void
fsctx_set_cwd(struct path *p)
{
	set_path(&fsctx_current()->cwd, p);
}

void
fsctx_set_root(struct path *p)
{
	set_path(&fsctx_current()->root, p);
}

void
fsctx_init_root(struct path root)
{
	kernel_ctx.root = path_get(&root);
	kernel_ctx.cwd = path_get(&root);
}

/* ---- process hooks ---- */

static int
fsctx_fork(struct proc *parent, struct proc *child, uint64_t flags)
{
	struct fsctx *from = parent ? parent->slot[SLOT_FS] : NULL;

	if (from && (flags & CLONE_FS)) {
		__atomic_add_fetch(&from->refs, 1, __ATOMIC_RELAXED);
		child->slot[SLOT_FS] = from;
		return 0;
	}
	if (!from)
		from = &kernel_ctx;
	if (!from->root.dentry)
		return 0;                  /* nothing is mounted yet */
	struct fsctx *c = kmalloc(sizeof *c);
	if (!c)
		return -ENOMEM;
	spin_init(&c->lock, "fs context", RANK(7, 60));
	c->refs = 1;
	fsctx_paths(from, &c->root, &c->cwd);
	child->slot[SLOT_FS] = c;
	return 0;
}

static void
fsctx_exit(struct proc *p)
{
	spin_lock(&slot_lock);
	struct fsctx *c = p->slot[SLOT_FS];
	p->slot[SLOT_FS] = NULL;
	spin_unlock(&slot_lock);
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	path_put(&c->root);
	path_put(&c->cwd);
	kfree(c);
}

static const struct proc_ops fsctx_proc_ops = { .fork = fsctx_fork, .exit = fsctx_exit };

static void
fsctx_init(void)
{
	proc_register(SLOT_FS, &fsctx_proc_ops);
}
INITCALL(7, fsctx_init);
