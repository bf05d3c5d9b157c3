/* waitq.h - waiting takes its condition.                                                     (lab 4)
 *
 *     wait_event(&p->rq, p->nread < p->nwrite || !p->wopen, &p->lock);
 *
 * The lock (struct spinlock * or struct mutex *, or NULL for conditions on atomics) is held before and after
 * and while the condition is evaluated, and dropped while asleep.  The lost-wakeup race is drawn in waitq.c.
 * wait_event_intr: 0, or -ERESTARTSYS when current()->intr was set first. wait_event_timeout: 0, -ETIMEDOUT
 * or -ERESTARTSYS.
 */
#ifndef KERN_PROC_WAITQ_H
#define KERN_PROC_WAITQ_H

#include "kern/proc/sched.h"
#include "kern/proc/mutex.h"

#define RANK_WAITQ RANK(4, 20)

struct waiter {
	struct list link;     /* [q] in q->waiters */
	struct waitq *q;           /* [q] NULL: not queued */
	struct thread *thread;     /* [I] */
};

struct waitq {
	struct spinlock lock;
	struct list waiters;  /* [lock] in order of arrival */
};

void waitq_init(struct waitq *q);
#define WAITQ(q_) { .lock = SPINLOCK("waitq", RANK_WAITQ), .waiters = LIST_INIT((q_).waiters) }
void waitq_wake_all(struct waitq *q);            /* any context; caller may hold the condition's lock */
bool waitq_wake_one(struct waitq *q);
bool waitq_empty(struct waitq *q);               /* a hint without the lock: cheap test before a wake */
/* For poll: be on several queues. add enqueues w; the caller has called thread_prepare_sleep. */
void waitq_add(struct waitq *q, struct waiter *w);
void waitq_del(struct waiter *w);

/* The macros' helper: `how` bit 0 interruptible; deadline 0 = none. Returns 0 to test the condition again,
 * or an error. */
enum { WAIT_INTR = 1 };
int  wait_step(struct waiter *w, int how, uint64_t deadline);

static inline void wait_unlock_spin(struct spinlock *l) { if (l) spin_unlock(l); }
static inline void wait_lock_spin(struct spinlock *l) { if (l) spin_lock(l); }
static inline void wait_unlock_none(void *l) { (void)l; }
#define WAIT_UNLOCK(l) _Generic((l), struct spinlock *: wait_unlock_spin, \
	struct mutex *: mutex_unlock, void *: wait_unlock_none)(l)
#define WAIT_LOCK(l) _Generic((l), struct spinlock *: wait_lock_spin, \
	struct mutex *: mutex_lock, void *: wait_unlock_none)(l)

#define wait_common(q_, cond, l, how, deadline) ({ \
	int w_err = 0; \
	struct waiter w_ = { .thread = current() }; \
	while (!(cond)) { \
		thread_prepare_sleep((how) & WAIT_INTR); \
		waitq_add((q_), &w_); \
		if (cond) { waitq_del(&w_); thread_cancel_sleep(); break; } \
		WAIT_UNLOCK(l); \
		w_err = wait_step(&w_, (how), (deadline)); \
		WAIT_LOCK(l); \
		if (w_err) { if (cond) w_err = 0; break; } \
	} \
	w_err; })

#define wait_event(q, cond, l) ((void)wait_common(q, cond, l, 0, 0))
#define wait_event_intr(q, cond, l) wait_common(q, cond, l, WAIT_INTR, 0)
#define wait_event_timeout(q, cond, l, deadline_ns) wait_common(q, cond, l, WAIT_INTR, deadline_ns)

#endif
