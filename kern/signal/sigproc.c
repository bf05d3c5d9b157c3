/* sigproc.c - signals in the life of a process: fork, exec, exit, and what the parent hears.   (lab 11)
 *
 * Idea.       Fork copies actions and mask, but nothing pending; exec forgets handlers, but not what is
 *             ignored. A child's end, stop and continuation are SIGCHLD for the parent; a parent that
 *             ignores SIGCHLD has its children reaped. A group that nobody is left to continue is woken by
 *             SIGHUP and SIGCONT.
 */
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/signal/signal.h"
#include "lib/abi/errno.h"
#include "lib/abi/sched.h"
#include "lib/abi/wait.h"
#include "lib/kern/string.h"

#define NORPHAN 16                    /* groups of children looked at when a process ends */

static void
sigthread_init(struct sigthread *st)
{
	signal_pend_init(&st->pend);
	st->alt.ss_flags = SS_DISABLE;
}

static int
sig_fork(struct proc *parent, struct proc *child, uint64_t flags)
{
	struct sigstate *s = kmalloc(sizeof *s), *from = parent ? sigstate(parent) : NULL;

	if (!s)
		return -ENOMEM;
	memset((char *)s + sizeof s->action, 0, sizeof *s - sizeof s->action);
	s->acted = from ? from->acted : 0;
	for (sigset_t todo = s->acted; todo; todo &= todo - 1)
		s->action[__builtin_ctzl(todo)] = from->action[__builtin_ctzl(todo)];
	signal_pend_init(&s->pend);
	sigthread_init(&s->main);
	waitq_init(&s->stop_wait);
	s->proc = child;
	itimer_init(s);
	if (from) {
		struct sigthread *me = sigthread(current());

		s->main.mask = me->restore ? me->saved_mask : me->mask;
		if ((flags & (CLONE_VM | CLONE_VFORK)) != CLONE_VM)
			s->main.alt = me->alt;
	}
	child->slot[SLOT_SIGNALS] = s;
	return 0;
}

static void
sig_exec(struct proc *p)
{
	struct sigstate *s = sigstate(p);

	spin_lock(&p->lock);
	for (int sig = 1; s->acted && sig <= _NSIG; sig++) {
		if (sig_handler(s, sig) == SIG_IGN)
			s->action[sig - 1] = (struct sigaction){ .sa_handler = SIG_IGN };
		else
			s->acted &= ~SIGBIT(sig);
	}
	s->main.alt = (stack_t){ .ss_flags = SS_DISABLE };
	spin_unlock(&p->lock);
}

/* ---- orphaned groups ---- */

struct orphan_check {
	struct proc *leaving;
	int pgid;
	bool stopped, cared_for;
};

static int
orphan_look(struct proc *m, void *arg)
{
	struct orphan_check *o = arg;
	struct proc *q = m->parent;

	if (m == o->leaving || m->state != P_ALIVE)
		return 0;
	o->stopped |= m->stopped;
	o->cared_for |= q && q != o->leaving && q != init_proc && q->pgid != o->pgid && q->sid == m->sid;
	return 0;
}

/* If the group has stopped members, and without p nobody could continue them: tell them, and continue them.
 * */
static void
orphan_group(struct proc *p, int pgid)
{
	struct orphan_check o = { .leaving = p, .pgid = pgid };

	proc_group_each(pgid, orphan_look, &o);
	if (!o.stopped || o.cared_for)
		return;
	proc_signal_group(pgid, SIGHUP);
	proc_signal_group(pgid, SIGCONT);
}

static void
orphan_children(struct proc *p)
{
	int pgid[NORPHAN], n = 0;
	bool linked;

	spin_lock(&tree_lock);
	linked = p->parent && p->parent->pgid != p->pgid && p->parent->sid == p->sid;
	list_for_each(c, &p->children, struct proc, sibling) {
		bool known = c->pgid == p->pgid;

		for (int i = 0; i < n; i++)
			known |= pgid[i] == c->pgid;
		if (!known && n < NORPHAN && c->stopped)
			pgid[n++] = c->pgid;
	}
	spin_unlock(&tree_lock);
	for (int i = 0; i < n; i++)
		orphan_group(p, pgid[i]);
	if (linked)                           /* p's parent cared for p's group, through p */
		orphan_group(p, p->pgid);
}

/* The slot becomes empty: a signal sent from now on goes nowhere. Also called for a child whose fork failed.
 * */
static void
sig_exit(struct proc *p)
{
	struct sigstate *s = sigstate(p);

	if (p == current_proc() && proc_any_stopped())
		orphan_children(p);
	itimer_cancel(s);
	spin_lock(&p->lock);
	p->slot[SLOT_SIGNALS] = NULL;
	signal_flush(s, &s->pend, ~0ul);
	signal_flush(s, &s->main.pend, ~0ul);
	spin_unlock(&p->lock);
	kfree(s);
}

/* ---- the parent ---- */

static void
child_info(struct proc *c, int what, struct siginfo *si)
{
	uint64_t u, s;
	int st = c->status;

	proc_times(c, &u, &s);
	*si = (struct siginfo){ .si_signo = SIGCHLD };
	si->si_pid = c->pid;
	si->si_uid = c->cred.uid;
	si->si_utime = u / (NSEC / 100);
	si->si_stime = s / (NSEC / 100);
	if (what == PROC_STOPPED) {
		si->si_code = CLD_STOPPED;
		si->si_status = WSTOPSIG(st);
	} else if (what == PROC_CONTINUED) {
		si->si_code = CLD_CONTINUED;
		si->si_status = SIGCONT;
	} else {
		si->si_code = WIFSIGNALED(st) ? CLD_KILLED : CLD_EXITED;
		si->si_status = WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st);
	}
}

static void
sig_changed(struct proc *c, int what)
{
	struct proc *parent;
	struct sigstate *s;
	struct siginfo info;
	sighandler_t h = SIG_DFL;
	uint64_t sa_flags = 0;
	int sig = what == PROC_EXITED ? c->exit_signal : SIGCHLD;

	spin_lock(&tree_lock);
	parent = c->parent ? proc_get(c->parent) : NULL;
	spin_unlock(&tree_lock);
	if (!parent)
		return;
	spin_lock(&parent->lock);
	if ((s = sigstate(parent)) != NULL) {
		h = sig_handler(s, SIGCHLD);
		sa_flags = sig_flags(s, SIGCHLD);
	}
	spin_unlock(&parent->lock);
	child_info(c, what, &info);
	if (sig && !(what != PROC_EXITED && (sa_flags & SA_NOCLDSTOP)))
		signal_send(parent, NULL, sig, &info);
	if (what == PROC_EXITED && sig == SIGCHLD && (h == SIG_IGN || (sa_flags & SA_NOCLDWAIT)))
		proc_reap(c);
	proc_put(parent);
}

static const struct proc_ops ops = { .fork = sig_fork, .exec = sig_exec, .exit = sig_exit,
	.changed = sig_changed };

static void
sigproc_init(void)
{
	proc_register(SLOT_SIGNALS, &ops);
}

INITCALL(11, sigproc_init);
