/* ttyjob.c - terminals and processes: sessions, the foreground group, hangup.                 (lab 7)
 *
 * Idea.       A session leader takes a terminal; all processes of its session have it as controlling
 *             terminal. One group of them is in the foreground: it gets ^C and may read; the others are
 *             stopped when they try (POSIX 1003.1, 11.1). A process's terminal is not stored: it is the one
 *             with the process's session id.
 * Interface.  ttyjob_*, tty.h.
 * Invariants. I1 no two terminals have the same session.  I2 p->slot[SLOT_TTY] is set in processes that gave
 *             their terminal up (TIOCNOTTY) though they are still in its session.
 * Locks.      t->lock for sid and fg; never held while asking the process layer. The list of terminals only
 *             grows, at boot.
 */
#include "fs/vfs/tty.h"
#include "kern/boot/initcall.h"
#include "kern/proc/sigslot.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"

static struct tty *ttys;

void
ttyjob_add(struct tty *t)
{
	t->next = ttys;
	ttys = t;
}

/* The controlling terminal of p, NULL: none (also for kernel threads, p NULL). */
struct tty *
ttyjob_of(struct proc *p)
{
	if (p && !p->slot[SLOT_TTY])
		for (struct tty *t = ttys; t; t = t->next)
			if (t->sid && t->sid == p->sid)
				return t;
	return NULL;
}

/* May the current process do what background processes must not: read (SIGTTIN), or change the terminal or
 * write under TOSTOP (SIGTTOU)?
 *
 * Returns: 0: yes; -ERESTARTSYS: its group was sent the signal, try again afterwards; -EIO: nobody could ever
 *          continue it, or it does not want to hear the signal (for SIGTTOU that means yes).
 */
int
ttyjob_check(struct tty *t, int sig)
{
	struct proc *p = current_proc();
	int fg = __atomic_load_n(&t->fg, __ATOMIC_RELAXED);

	if (!signals_present())                /* who cannot be stopped need not be */
		return 0;
	if (!p || fg == 0 || fg == p->pgid || ttyjob_of(p) != t)
		return 0;
	if (proc_signal_state(sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (proc_group_orphaned(p->pgid))
		return -EIO;
	proc_signal_group(p->pgid, sig);
	return -ERESTARTSYS;
}

static void
take(struct tty *t, struct proc *p)
{
	spin_lock(&t->lock);
	t->sid = p->sid;
	t->fg = p->pgid;
	spin_unlock(&t->lock);
	p->slot[SLOT_TTY] = NULL;
}

/* The current process opens t without O_NOCTTY: a session leader without a terminal takes it if it is
 * free. */
void
ttyjob_acquire(struct tty *t)
{
	struct proc *p = current_proc();

	if (p && p->pid == p->sid && t->sid == 0 && !ttyjob_of(p))
		take(t, p);
}

/* TIOCSCTTY. 0; -EPERM: not a leader, has another terminal, or t has a session (force: root takes it
 * away). */
int
ttyjob_steal(struct tty *t, uint64_t force)
{
	struct proc *p = current_proc();

	if (!p || p->pid != p->sid)
		return -EPERM;
	if (t->sid == p->sid && !p->slot[SLOT_TTY])
		return 0;
	if (ttyjob_of(p) || (t->sid && t->sid != p->sid && !(force == 1 && p->cred.euid == 0)))
		return -EPERM;
	take(t, p);
	return 0;
}

/* The session loses its terminal: its foreground group hears of it. */
static void
disconnect(struct tty *t)
{
	int fg;

	spin_lock(&t->lock);
	fg = t->fg;
	t->sid = t->fg = 0;
	spin_unlock(&t->lock);
	if (fg) {
		proc_signal_group(fg, SIGHUP);
		proc_signal_group(fg, SIGCONT);
	}
}

/* TIOCNOTTY. 0, -ENOTTY. */
int
ttyjob_leave(struct tty *t)
{
	struct proc *p = current_proc();

	if (ttyjob_of(p) != t)
		return -ENOTTY;
	if (p->pid == p->sid)
		disconnect(t);
	else
		p->slot[SLOT_TTY] = p;         /* I2 */
	return 0;
}

static int
session_of(struct proc *p, void *arg)
{
	*(int *)arg = p->sid;
	return 1;
}

/* TIOCSPGRP. 0; -ENOTTY: not the caller's terminal; -EINVAL, -ESRCH: no such group; -EPERM: of another
 * session. */
int
ttyjob_set_group(struct tty *t, int pgid)
{
	int sid = 0;

	if (ttyjob_of(current_proc()) != t)
		return -ENOTTY;
	if (pgid < 0)
		return -EINVAL;
	proc_group_each(pgid, session_of, &sid);
	if (!sid)
		return -ESRCH;
	if (sid != current_proc()->sid)
		return -EPERM;
	__atomic_store_n(&t->fg, pgid, __ATOMIC_RELAXED);
	return 0;
}

/* Everyone who has t open (but not as /dev/console) finds the line dead from now on. */
void
ttyjob_hangup(struct tty *t)
{
	disconnect(t);
	spin_lock(&t->lock);
	t->gen++;
	tty_flush_input(t);
	t->stopped = false;
	waitq_wake_all(&t->rq);
	waitq_wake_all(&t->wq);
	spin_unlock(&t->lock);
}

static int
job_fork(struct proc *parent, struct proc *child, uint64_t flags)
{
	(void)flags;
	child->slot[SLOT_TTY] = parent && parent->slot[SLOT_TTY] ? child : NULL;
	return 0;
}

/* A session leader that ends takes the line down. */
static void
job_exit(struct proc *p)
{
	struct tty *t = p->pid == p->sid ? ttyjob_of(p) : NULL;

	p->slot[SLOT_TTY] = NULL;
	if (t)
		ttyjob_hangup(t);
}

static const struct proc_ops job_ops = { .fork = job_fork, .exit = job_exit };

static void
ttyjob_init(void)
{
	proc_register(SLOT_TTY, &job_ops);
}

INITCALL(7, ttyjob_init);
