/* wait.c - a parent hears of its children.                                                     (lab 4)
 *
 * Idea.       Wait until a child of the wanted kind is a zombie, or has an event (stopped, continued) that
 *             was asked for; take the news under tree_lock, so that no two waiters take the same; then
 *             report and free.
 * Interface.  proc_wait; system calls wait4, waitid.
 */
#include "kern/boot/initcall.h"
#include "kern/proc/proc.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/signal.h"
#include "lib/abi/wait.h"
#include "lib/kern/string.h"

/* What is waited for, and what was found. */
struct wait {
	struct proc *parent;
	int pid;                   /* as wait4: > 0 that child, -1 any, < -1 a group */
	int options;
	bool any;                  /* there are such children */
	struct proc *child;        /* found, referenced */
	int status;
	bool zombie;
};

static bool
wait_matches(const struct wait *w, const struct proc *c)
{
	bool clone_child = c->exit_signal != SIGCHLD;

	if (w->pid > 0 && c->pid != w->pid)
		return false;
	if (w->pid < -1 && c->pgid != -w->pid)
		return false;
	return (w->options & __WALL) || clone_child == !!(w->options & __WCLONE);
}

/* Has c something to tell? Takes it, unless WNOWAIT. Requires: tree_lock. */
static bool
wait_take(struct wait *w, struct proc *c)
{
	if (c->state == P_ZOMBIE && (w->options & WEXITED)) {
		w->zombie = true;
	} else if (c->state != P_ZOMBIE && ((c->event == EV_STOPPED && (w->options & WSTOPPED)) ||
	    (c->event == EV_CONTINUED && (w->options & WCONTINUED)))) {
		w->zombie = false;
		if (!(w->options & WNOWAIT))
			c->event = EV_NONE;
	} else {
		return false;
	}
	w->status = c->status;
	w->child = proc_get(c);
	return true;
}

/* One look at all children. Returns: true if the wait is over: news, no such child, or not to wait.
 * Requires: tree_lock. */
static bool
wait_scan(struct wait *w)
{
	if (w->child)
		return true;
	w->any = false;
	list_for_each(c, &w->parent->children, struct proc, sibling) {
		if (!wait_matches(w, c))
			continue;
		w->any = true;
		if (wait_take(w, c))
			return true;
	}
	return !w->any || (w->options & WNOHANG);
}

/* Wait. Returns: 0 (w->child may be NULL with WNOHANG), -ECHILD, -ERESTARTSYS. A zombie is out of the tables
 * afterwards. */
static int
wait_for_child(struct wait *w)
{
	int err;

	do {
		w->child = NULL;
		spin_lock(&tree_lock);
		err = wait_event_intr(&w->parent->child_wait, wait_scan(w), &tree_lock);
		spin_unlock(&tree_lock);
		if (err)
			return err;
		if (!w->child)
			return w->any ? 0 : -ECHILD;
		if (!w->zombie || (w->options & WNOWAIT) || proc_reap(w->child))
			return 0;
		proc_put(w->child);           /* another thread was quicker */
	} while (true);
}

/* What a child used, its own children included. */
static void
wait_rusage(struct proc *c, struct rusage *ru)
{
	uint64_t u, s;

	proc_times(c, &u, &s);
	u += c->cutime_ns;
	s += c->cstime_ns;
	memset(ru, 0, sizeof *ru);
	ru->ru_utime = (struct timeval){ u / 1000000000, u / 1000 % 1000000 };
	ru->ru_stime = (struct timeval){ s / 1000000000, s / 1000 % 1000000 };
	ru->ru_minflt = c->minflt;
	ru->ru_majflt = c->majflt;
}

/* wait4: see wait4(2). pid -1 any, 0 own group, < -1 that group. ustatus and urusage may be 0.
 * Returns: pid, 0 (WNOHANG), -ECHILD, -EINVAL, -ESRCH, -EFAULT, -ERESTARTSYS. */
long
proc_wait(int pid, uint64_t ustatus, int options, uint64_t urusage)
{
	struct wait w = { .parent = current_proc(), .pid = pid, .options = options | WEXITED };
	struct rusage ru;
	long r;

	if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WALL | (int)__WCLONE))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid == 0)
		w.pid = -w.parent->pgid;
	r = wait_for_child(&w);
	if (r || !w.child)
		return r;
	r = w.child->pid;
	if (ustatus && store_user32(ustatus, w.status))
		r = -EFAULT;
	if (urusage) {
		wait_rusage(w.child, &ru);
		if (copyout(urusage, &ru, sizeof ru))
			r = -EFAULT;
	}
	proc_put(w.child);
	return r;
}

static void
fill_siginfo(const struct wait *w, struct siginfo *si)
{
	int st = w->status;

	si->si_signo = SIGCHLD;
	si->si_pid = w->child->pid;
	si->si_uid = w->child->cred.uid;
	if (!w->zombie && WIFSTOPPED(st)) {
		si->si_code = CLD_STOPPED;
		si->si_status = WSTOPSIG(st);
	} else if (!w->zombie) {
		si->si_code = CLD_CONTINUED;
		si->si_status = SIGCONT;
	} else if (WIFSIGNALED(st)) {
		si->si_code = WCOREDUMP(st) ? CLD_DUMPED : CLD_KILLED;
		si->si_status = WTERMSIG(st);
	} else {
		si->si_code = CLD_EXITED;
		si->si_status = WEXITSTATUS(st);
	}
}

/* The pid of wait4 that means the same as (type, id). Returns: -EINVAL. */
static int
waitid_target(int type, int id, struct wait *w)
{
	switch (type) {
	case P_ALL:
		w->pid = -1;
		return 0;
	case P_PID:
		w->pid = id;
		return id > 0 ? 0 : -EINVAL;
	case P_PGID:
		w->pid = id == 0 ? -w->parent->pgid : -id;
		return id >= 0 ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

static long
sys_waitid(int type, int id, uint64_t uinfo, int options, uint64_t urusage)
{
	struct wait w = { .parent = current_proc(), .options = options };
	struct siginfo si;
	struct rusage ru;
	int err = waitid_target(type, id, &w);

	if (options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WALL |
	    (int)__WCLONE))
		return -EINVAL;
	if (err || !(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	err = wait_for_child(&w);
	if (err)
		return err;
	memset(&si, 0, sizeof si);
	memset(&ru, 0, sizeof ru);
	if (w.child) {
		fill_siginfo(&w, &si);
		wait_rusage(w.child, &ru);
		proc_put(w.child);
	}
	if (uinfo && copyout(uinfo, &si, sizeof si))
		return -EFAULT;
	if (urusage && w.child && copyout(urusage, &ru, sizeof ru))
		return -EFAULT;
	return 0;
}

static void
wait_init(void)
{
	SYSCALL_REG(wait4, proc_wait);
	SYSCALL_REG(waitid, sys_waitid);
}

INITCALL(4, wait_init);
