/* signal.c - sending signals.                                                                  (lab 11)
 *
 * Idea.       A sent signal is a bit in a set, with a siginfo in a queue if there is memory for it. Signals
 *             below SIGRTMIN do not count: a second one while the first is pending is lost, as ever in Unix.
 *             Sending decides only what must be decided at once: is it ignored, does it undo a stop, whom to
 *             wake.
 * Interface.  signal_send, signal_force, signal_take, signal_set_mask; sigslot's ops.
 * Invariants. I1 t->intr is set if and only if a signal that t does not block is pending, or t is killed.
 *             I2 a pending stop signal and a pending SIGCONT exclude each other.
 * Locks.      p->lock. Senders may hold tree_lock.
 */
#include "kern/signal/signal.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/proc/sched.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* Taken first: they belong to the instruction that caused them. */
#define SIG_FAULTS (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE) | \
	SIGBIT(SIGSYS))

void
signal_pend_init(struct sigpend *pend)
{
	pend->set = 0;
	list_init(&pend->queue);
}

/* Forget pending signals of `which`. Requires: p->lock. */
void
signal_flush(struct sigstate *s, struct sigpend *pend, sigset_t which)
{
	if (!(pend->set & which))
		return;
	list_for_each_safe(q, &pend->queue, struct sigqueue, link)
		if (SIGBIT(q->info.si_signo) & which) {
			list_remove(&q->link);
			kfree(q);
			s->nqueued--;
		}
	pend->set &= ~which;
}

static sigset_t
deliverable(struct sigthread *st, struct sigstate *s)
{
	return (st->pend.set | s->pend.set) & (~st->mask | st->waiting);
}

/* Requires: p->lock, t is the current thread or does not run yet. */
void
signal_recalc(struct thread *t)
{
	t->intr = t->killed || deliverable(sigthread(t), sigstate(t->proc));
	if (t->intr && t == current())
		cpu_set_thread_work(true);
}

/* Change the current thread's mask, and notice what that lets through. */
void
signal_set_mask(sigset_t mask)
{
	struct thread *t = current();

	spin_lock(&t->proc->lock);
	sigthread(t)->mask = mask & ~SIG_UNBLOCKABLE;
	signal_recalc(t);
	spin_unlock(&t->proc->lock);
}

/* ---- sending ---- */

/* Would the signal do nothing at all? Blocked ones are kept: the action may change before they are let
 * through. */
static bool
is_ignored(struct proc *p, struct sigstate *s, struct sigthread *st, int sig)
{
	sighandler_t h = sig_handler(s, sig);

	if ((st->mask | st->waiting) & SIGBIT(sig))
		return false;
	if (p == init_proc && h == SIG_DFL)
		return true;                  /* nobody kills or stops init by accident */
	return h == SIG_IGN || (h == SIG_DFL && sig_default_ignored(sig));
}

/* Put it into the set and the queue. Returns: 0, -EAGAIN. */
static int
enqueue(struct sigstate *s, struct sigpend *pend, int sig, const struct siginfo *info)
{
	struct sigqueue *q;

	if (sig < SIGRTMIN && (pend->set & SIGBIT(sig)))
		return 0;
	q = s->nqueued < SIG_QUEUE_MAX ? kmalloc(sizeof *q) : NULL;
	if (!q && sig >= SIGRTMIN && info && info->si_code == SI_QUEUE)
		return -EAGAIN;
	if (q) {
		if (info)
			q->info = *info;
		else
			q->info = (struct siginfo){ .si_code = SI_KERNEL };
		q->info.si_signo = sig;
		list_push_back(&pend->queue, &q->link);
		s->nqueued++;
	}
	pend->set |= SIGBIT(sig);
	return 0;
}

/* What happens at the moment of sending. Requires: p->lock. */
static void
stop_and_continue(struct proc *p, struct sigstate *s, int sig)
{
	sigset_t drop = sig == SIGCONT ? SIG_STOPS : SIG_STOPS & SIGBIT(sig) ? SIGBIT(SIGCONT) : 0;

	if (drop) {
		signal_flush(s, &s->pend, drop);
		list_for_each(t, &p->threads, struct thread, proc_link)
			signal_flush(s, &sigthread(t)->pend, drop);
	}
	if (sig == SIGCONT || sig == SIGKILL) {
		s->stopping = s->stopped = false;
		waitq_wake_all(&s->stop_wait);
	}
}

/* The thread that will take it: t, or the first of p that wants it. */
static void
wake_taker(struct proc *p, struct thread *only, int sig)
{
	list_for_each(t, &p->threads, struct thread, proc_link) {
		struct sigthread *st = sigthread(t);

		if ((only && t != only) || ((st->mask & ~st->waiting) & SIGBIT(sig)))
			continue;
		thread_interrupt(t);
		return;
	}
}

/* Is t, which the sender has found some time ago, still one of p's? Then it exists. */
static bool
is_thread_of(struct proc *p, struct thread *t)
{
	list_for_each(other, &p->threads, struct thread, proc_link)
		if (other == t)
			return true;
	return false;
}

/* signal_send with p->lock held. Returns: 1 if the process must be killed by SIGKILL, else as signal_send. */
static int
send_locked(struct proc *p, struct sigstate *s, struct thread *t, int sig, const struct siginfo *info)
{
	int err;

	if (t && !is_thread_of(p, t))
		return 0;
	stop_and_continue(p, s, sig);
	if (is_ignored(p, s, t ? sigthread(t) : &s->main, sig))
		return 0;
	if (sig == SIGKILL)
		return 1;
	err = enqueue(s, t ? &sigthread(t)->pend : &s->pend, sig, info);
	if (!err)
		wake_taker(p, t, sig);
	return err;
}

/* Send a signal; no permission is asked. From any context, with tree_lock held or not.
 *
 * Returns: 0 (also for a process that has ended, or ignores it); -EAGAIN: the queue is full (only SI_QUEUE).
 */
int
signal_send(struct proc *p, struct thread *t, int sig, const struct siginfo *info)
{
	struct sigstate *s;
	int r = 0;

	if (sig == 0)
		return 0;
	spin_lock(&p->lock);
	s = sigstate(p);
	if (s)
		r = send_locked(p, s, t, sig, info);
	spin_unlock(&p->lock);
	if (r == 1) {
		proc_kill_threads(p, SIGKILL);
		r = 0;
	}
	return r;
}

/* The current thread did something that cannot go on: if it blocks or ignores the signal, it ends by it. */
void
signal_force(int sig, const struct siginfo *info)
{
	struct thread *t = current();
	struct sigstate *s = sigstate(t->proc);
	struct sigthread *st = sigthread(t);

	spin_lock(&t->proc->lock);
	if ((st->mask & SIGBIT(sig)) || sig_handler(s, sig) == SIG_IGN)
		s->acted &= ~SIGBIT(sig);
	st->mask &= ~SIGBIT(sig);
	enqueue(s, &st->pend, sig, info);
	signal_recalc(t);
	spin_unlock(&t->proc->lock);
}

/* ---- taking ---- */

static bool
take_from(struct sigstate *s, struct sigpend *pend, int sig, struct siginfo *info)
{
	bool found = false, more = false;

	if (!(pend->set & SIGBIT(sig)))
		return false;
	list_for_each_safe(q, &pend->queue, struct sigqueue, link) {
		if (q->info.si_signo != sig)
			continue;
		more = found;
		if (found)
			break;
		*info = q->info;
		list_remove(&q->link);
		kfree(q);
		s->nqueued--;
		found = true;
	}
	if (!found)
		*info = (struct siginfo){ .si_signo = sig, .si_code = SI_USER };
	if (!more)
		pend->set &= ~SIGBIT(sig);
	return true;
}

/* Take the most urgent pending signal among `from` out. Requires: p->lock. Returns: its number, or 0. */
int
signal_take(struct sigthread *st, struct sigstate *s, sigset_t from, struct siginfo *info)
{
	sigset_t set = (st->pend.set | s->pend.set) & from;
	int sig;

	if (!set)
		return 0;
	if (set & SIG_FAULTS)
		set &= SIG_FAULTS;
	sig = __builtin_ctzl(set) + 1;
	if (!take_from(s, &st->pend, sig, info))
		take_from(s, &s->pend, sig, info);
	return sig;
}

/* ---- lab 4's slot ---- */

static int
slot_send(struct proc *p, int sig)
{
	return signal_send(p, NULL, sig, NULL);
}

static int
slot_state(int sig)
{
	struct thread *t = current();
	struct sigthread *st = sigthread(t);
	sighandler_t h = sig_handler(sigstate(t->proc), sig);
	int r = 0;

	if (h == SIG_IGN || (h == SIG_DFL && sig_default_ignored(sig)))
		r |= SIGNAL_IGNORED;
	if (st->mask & SIGBIT(sig))
		r |= SIGNAL_BLOCKED;
	return r;
}

static void
slot_mask(uint64_t mask)
{
	struct sigthread *st = sigthread(current());

	if (!st->restore)
		st->saved_mask = st->mask;
	st->restore = true;
	signal_set_mask(mask);
	cpu_set_thread_work(true);            /* signal_deliver puts the old one back */
}

static const struct sigslot_ops ops = { .send = slot_send, .state = slot_state, .mask = slot_mask };

static void
signal_init(void)
{
	sigslot_register(&ops);
}

INITCALL(11, signal_init);
