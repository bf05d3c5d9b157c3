/* signal.h - signals: what is pending, what is to be done about it.                            (lab 11)
 *
 *     kill, ^C, fault, timer --signal_send--> pending set (+ queue of siginfo) --thread_interrupt--> sleeps
 *     end
 *                                                   |
 *          on the way to user mode: signal_deliver <'   ignore | stop | end the process | push a frame for
 *          the handler
 *
 * Lower layers send through kern/proc/sigslot.h, which lands here.
 * Locks.  p->lock (kern/proc/proc.h) guards everything below: a sender needs the process's threads anyway.
 */
#ifndef KERN_SIGNAL_SIGNAL_H
#define KERN_SIGNAL_SIGNAL_H

#include "kern/proc/proc.h"
#include "kern/proc/sigslot.h"
#include "kern/trap/clock.h"

#define SIGBIT(sig) (1ul << ((sig) - 1))
#define SIG_UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
#define SIG_STOPS (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define SIG_QUEUE_MAX 1024            /* siginfos waiting per process */

/* Pending signals. A bit may be set without a siginfo in the queue: no memory, or nothing to tell. */
struct sigpend {
	sigset_t set;
	struct list queue;         /* of struct sigqueue, in order of arrival */
};

struct sigqueue {
	struct list link;
	struct siginfo info;
};

/* key: p p->lock; t this thread only; a process's first thread has it in struct sigstate, others in t->sig
 * (lab 14) */
struct sigthread {
	sigset_t mask;             /* [p] blocked; written by the thread itself */
	sigset_t saved_mask;       /* [t] to come back after sigsuspend, if restore */
	sigset_t waiting;          /* [p] rt_sigtimedwait waits for these, though blocked */
	bool restore;              /* [t] */
	struct sigpend pend;       /* [p] sent to this thread */
	stack_t alt;               /* [t] sigaltstack */
	uint64_t cr2, err, trapno; /* [t] of the last fault, for the frame */
};

struct sigstate {
	/* [p] of signal i + 1: means something only if its bit is in acted */
	struct sigaction action[_NSIG];
	/* [p] signals whose action was set; the others have the default: nothing to copy or clear */
	sigset_t acted;
	struct sigpend pend;       /* [p] sent to the process */
	int nqueued;               /* [p] in all its queues */
	bool stopping;             /* [p] a stop signal was taken, and no SIGCONT or SIGKILL came since */
	bool stopped;              /* [p] by job control: threads wait in signal_deliver */
	struct waitq stop_wait;
	struct sigthread main;
	struct proc *proc;         /* [I] */
	struct timer real;         /* ITIMER_REAL and alarm */
	uint64_t real_deadline, real_interval; /* [p] ns; deadline 0: off */
};

static inline struct sigstate *sigstate(struct proc *p) { return p->slot[SLOT_SIGNALS]; }
static inline struct sigthread *sigthread(struct thread *t)
{
	return t->sig ? t->sig : &sigstate(t->proc)->main;
}
static inline sighandler_t sig_handler(const struct sigstate *s, int sig)
{
	return s->acted & SIGBIT(sig) ? s->action[sig - 1].sa_handler : SIG_DFL;
}
static inline uint64_t sig_flags(const struct sigstate *s, int sig)
{
	return s->acted & SIGBIT(sig) ? s->action[sig - 1].sa_flags : 0;
}
static inline bool sig_default_ignored(int sig)
{
	return SIGBIT(sig) & (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH));
}

/* signal.c. info NULL: from the kernel (SI_KERNEL). t NULL: any thread of p. 0; -EAGAIN: no room for a
 * queued signal. */
int  signal_send(struct proc *p, struct thread *t, int sig, const struct siginfo *info);
/* A fault of the current thread: cannot be blocked or ignored. */
void signal_force(int sig, const struct siginfo *info);
/* 0: none; p->lock */
int  signal_take(struct sigthread *st, struct sigstate *s, sigset_t from, struct siginfo *info);
/* p->lock */
void signal_flush(struct sigstate *s, struct sigpend *pend, sigset_t which);
void signal_recalc(struct thread *t);            /* t->intr from what is pending; p->lock; t current or new */
void signal_set_mask(sigset_t mask);             /* of the current thread */
void signal_pend_init(struct sigpend *pend);
/* itimer.c */
void itimer_init(struct sigstate *s);
void itimer_cancel(struct sigstate *s);

#endif
