/* proc.c - the table and the tree of processes.                                                (lab 4)
 *
 * Idea.       A process owns things; its threads run. Here: how one is made, found, counted, put into the
 *             tree and taken out again. What upper layers own hangs in p->slot[], and they hear of fork,
 *             exec and exit by hooks.
 *
 *                 init --children--> sh --children--> ls
 *                                     `-----------> wc          each also in one chain of pid_hash
 *
 * Interface.  proc_new, proc_add_thread, proc_publish; proc_find, proc_next, proc_get, proc_put;
 *             proc_group_*.
 * Invariants. I1 a process is in pid_hash and in its parent's children from proc_publish to proc_reap.
 *             I2 the table's reference keeps it, its threads' and everybody's who found it.
 * Locks.      tree_lock: the table, the tree, ids of groups.  p->lock: what belongs to one process.
 */
#include "kern/proc/proc.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/proc/sched.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/abi/signal.h"
#include "lib/kern/string.h"

#define NHASH 512
#define NEAR 64                       /* proc_next tries so many pids before it looks at all processes */
#define PAGES_PER_PROC 32             /* memory bounds the number of processes: this many pages for each */
#define STACK_LIMIT (8ul << 20)

struct spinlock tree_lock = SPINLOCK("process tree", RANK(4, 60));
struct proc *init_proc;

static struct list pid_hash[NHASH];   /* all below: tree_lock */
static int nproc;
static const struct proc_ops *ops[NSLOT];      /* [I] after boot */

void
proc_register(enum proc_slot slot, const struct proc_ops *o)
{
	ops[slot] = o;
}

/* ---- hooks of the upper layers ---- */

/* Returns: 0, or the error of a layer that refused; what the others did is undone then. */
int
proc_hooks_fork(struct proc *parent, struct proc *child, uint64_t flags)
{
	for (int i = 0; i < NSLOT; i++) {
		int err = ops[i] && ops[i]->fork ? ops[i]->fork(parent, child, flags) : 0;

		if (err) {
			while (i-- > 0)
				if (ops[i] && ops[i]->exit)
					ops[i]->exit(child);
			return err;
		}
	}
	return 0;
}

void
proc_hooks_exec(struct proc *p)
{
	for (int i = 0; i < NSLOT; i++)
		if (ops[i] && ops[i]->exec)
			ops[i]->exec(p);
}

void
proc_hooks_exit(struct proc *p)
{
	for (int i = NSLOT - 1; i >= 0; i--)
		if (ops[i] && ops[i]->exit)
			ops[i]->exit(p);
}

void
proc_hooks_changed(struct proc *p, int what)
{
	for (int i = 0; i < NSLOT; i++)
		if (ops[i] && ops[i]->changed)
			ops[i]->changed(p, what);
}

/* ---- life ---- */

static void
limits_default(struct proc *p)
{
	for (int i = 0; i < RLIM_NLIMITS; i++)
		p->rlim[i] = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	p->rlim[RLIMIT_STACK].rlim_cur = STACK_LIMIT;
	p->rlim[RLIMIT_CORE].rlim_cur = 0;
	p->rlim[RLIMIT_NOFILE] = (struct rlimit){ 1024, 4096 };
	p->rlim[RLIMIT_NPROC].rlim_cur = p->rlim[RLIMIT_NPROC].rlim_max = page_count_total() / PAGES_PER_PROC;
}

/* Count one more process, for the parent's user. Returns: -EAGAIN when there are too many. */
static int
proc_count_up(struct proc *parent)
{
	int err = 0;

	spin_lock(&tree_lock);
	if (nproc >= (int)(page_count_total() / PAGES_PER_PROC))
		err = -EAGAIN;
	else if (parent && parent->cred.uid != 0 && (uint64_t)nproc >= parent->rlim[RLIMIT_NPROC].rlim_cur)
		err = -EAGAIN;
	else
		nproc++;
	spin_unlock(&tree_lock);
	return err;
}

static void
proc_count_down(void)
{
	spin_lock(&tree_lock);
	nproc--;
	spin_unlock(&tree_lock);
}

/* What a child has from its parent. */
static void
proc_inherit(struct proc *p, struct proc *parent)
{
	p->cred = parent->cred;
	memcpy(p->rlim, parent->rlim, sizeof p->rlim);
	memcpy(p->name, parent->name, sizeof p->name);
	p->umask = parent->umask;
	p->nice = parent->nice;
	p->pgid = parent->pgid;
	p->sid = parent->sid;
}

/* A process without threads and memory, in no table yet. parent NULL: init, pid 1.
 * Returns: 0, -EAGAIN (too many), -ENOMEM. Undo: proc_discard. */
int
proc_new(struct proc *parent, struct proc **out)
{
	struct proc *p;
	int pid = 1, err = proc_count_up(parent);

	if (err)
		return err;
	if (parent && (pid = tid_alloc()) < 0) {
		proc_count_down();
		return pid;
	}
	p = kzalloc(sizeof *p);
	if (!p) {
		tid_free(pid);
		proc_count_down();
		return -ENOMEM;
	}
	p->pid = pid;
	p->refs = 1;
	p->parent = parent;
	p->exit_signal = SIGCHLD;
	p->start_ns = clock_ns();
	spin_init(&p->lock, "process", RANK(4, 50));
	list_init(&p->children);
	list_init(&p->sibling);
	list_init(&p->hash_link);
	list_init(&p->threads);
	waitq_init(&p->child_wait);
	waitq_init(&p->vfork_wait);
	p->umask = 022;
	p->pgid = p->sid = pid;
	if (parent)
		proc_inherit(p, parent);
	else
		limits_default(p);
	*out = p;
	return 0;
}

/* Undo proc_new; its memory, if it has got any, goes too. */
void
proc_discard(struct proc *p)
{
	if (p->as)
		aspace_put(p->as);
	tid_free(p->pid);
	proc_count_down();
	kfree(p);
}

/* Make t, not started yet, a thread of p. */
void
proc_add_thread(struct proc *p, struct thread *t)
{
	t->proc = proc_get(p);
	t->as = p->as;
	spin_lock(&p->lock);
	list_push_back(&p->threads, &t->proc_link);
	p->nthreads++;
	if (p->exiting)
		t->killed = t->intr = true;
	spin_unlock(&p->lock);
}

/* Into the table and the tree: from now on everybody can find it. sibling: as a child of its maker's parent.
 * */
void
proc_publish(struct proc *p, bool sibling)
{
	spin_lock(&tree_lock);
	if (sibling)
		p->parent = p->parent->parent;
	if (p->pid == 1)
		init_proc = p;
	if (p->parent)
		list_push_back(&p->parent->children, &p->sibling);
	list_push_back(&pid_hash[p->pid % NHASH], &p->hash_link);
	spin_unlock(&tree_lock);
}

/* Take a zombie out of table and tree, and account its times to the parent. Returns: false, it was out
 * already. */
bool
proc_reap(struct proc *p)
{
	bool mine;

	spin_lock(&tree_lock);
	mine = p->state == P_ZOMBIE && !list_empty(&p->hash_link);
	if (mine) {
		list_remove(&p->hash_link);
		list_remove(&p->sibling);
		if (p->parent) {
			p->parent->cutime_ns += p->utime_ns + p->cutime_ns;
			p->parent->cstime_ns += p->stime_ns + p->cstime_ns;
			waitq_wake_all(&p->parent->child_wait);
		}
		nproc--;
	}
	spin_unlock(&tree_lock);
	if (!mine)
		return false;
	tid_free(p->pid);
	proc_put(p);
	return true;
}

struct proc *
proc_get(struct proc *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void
proc_put(struct proc *p)
{
	if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0)
		kfree(p);
}

/* Its address space, referenced; NULL: it has none any more. */
struct aspace *
proc_aspace(struct proc *p)
{
	struct aspace *as;

	spin_lock(&p->lock);
	as = p->as ? aspace_get(p->as) : NULL;
	spin_unlock(&p->lock);
	return as;
}

/* ---- finding ---- */

/* Requires: tree_lock. */
static struct proc *
find_locked(int pid)
{
	struct list *head = &pid_hash[pid % NHASH];

	list_for_each(p, head, struct proc, hash_link)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* The process with this pid, alive or zombie, referenced; NULL: none. */
struct proc *
proc_find(int pid)
{
	struct proc *p;

	if (pid <= 0)
		return NULL;
	spin_lock(&tree_lock);
	p = find_locked(pid);
	if (p)
		proc_get(p);
	spin_unlock(&tree_lock);
	return p;
}

/* The process with the smallest pid above `pid`, by a look at all of them. Requires: tree_lock. */
static struct proc *
find_above(int pid)
{
	struct proc *best = NULL;

	for (int i = 0; i < NHASH; i++)
		list_for_each(p, &pid_hash[i], struct proc, hash_link)
			if (p->pid > pid && (!best || p->pid < best->pid))
				best = p;
	return best;
}

/* The process with the smallest pid above *pos, referenced; *pos becomes its pid. NULL: none is left. */
struct proc *
proc_next(int *pos)
{
	struct proc *p = NULL;

	*pos = *pos < 0 ? 0 : *pos < INT32_MAX - NEAR ? *pos : INT32_MAX - NEAR;
	spin_lock(&tree_lock);
	for (int pid = *pos + 1; pid <= *pos + NEAR && !p; pid++)
		p = find_locked(pid);
	if (!p)
		p = find_above(*pos + NEAR);
	if (p) {
		*pos = p->pid;
		proc_get(p);
	}
	spin_unlock(&tree_lock);
	return p;
}

int
proc_count(void)
{
	return __atomic_load_n(&nproc, __ATOMIC_RELAXED);
}

/* Call fn for every process of a group, under tree_lock, until it returns non-zero. Returns: that, or
 * -ESRCH: empty group. */
int
proc_group_each(int pgid, int (*fn)(struct proc *p, void *arg), void *arg)
{
	bool any = false;
	int r = 0;

	spin_lock(&tree_lock);
	for (int i = 0; i < NHASH && !r; i++) {
		list_for_each(p, &pid_hash[i], struct proc, hash_link)
			if (p->pgid == pgid) {
				any = true;
				if ((r = fn(p, arg)) != 0)
					break;
			}
	}
	spin_unlock(&tree_lock);
	return any ? r : -ESRCH;
}

static int
has_outside_parent(struct proc *p, void *arg)
{
	struct proc *parent = p->parent;

	(void)arg;
	return p->state == P_ALIVE && parent && parent != init_proc && parent->pgid != p->pgid &&
		parent->sid == p->sid;
}

/* Is nobody left who could continue the group's stopped members: a parent in the same session, but another
 * group? */
bool
proc_group_orphaned(int pgid)
{
	return proc_group_each(pgid, has_outside_parent, NULL) <= 0;
}

/* User and system time of all threads, those that ended included. */
void
proc_times(struct proc *p, uint64_t *utime_ns, uint64_t *stime_ns)
{
	uint64_t u, s, user_ns, sys_ns;

	spin_lock(&p->lock);
	u = p->utime_ns;
	s = p->stime_ns;
	list_for_each(t, &p->threads, struct thread, proc_link) {
		thread_times(t, &user_ns, &sys_ns);
		u += user_ns;
		s += sys_ns;
	}
	spin_unlock(&p->lock);
	*utime_ns = u;
	*stime_ns = s;
}

static void
proc_init(void)
{
	for (int i = 0; i < NHASH; i++)
		list_init(&pid_hash[i]);
}

INITCALL(4, proc_init);
