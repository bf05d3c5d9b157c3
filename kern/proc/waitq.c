/* waitq.c - queues of threads that wait for something to become true.                          (lab 4)
 *
 * Idea.       A waiter enqueues itself, looks at its condition once more, and sleeps; who makes the
 *             condition true wakes the queue. The condition is looked at under its lock, and the queue is
 *             joined under the same lock:
 *
 *                 waiter                                 waker
 *                 lock
 *                 condition false
 *                 prepare_sleep, join queue
 *                 condition false again
 *                 unlock ------------------------------> lock, make it true, wake the queue, unlock
 *                 sleep: returns at once, it was woken
 *
 *             Without a lock (conditions on atomics) the barriers in waitq_add and waitq_wake_all do the
 *             same.
 * Interface.  wait_event, wait_event_intr, wait_event_timeout (waitq.h); waitq_wake_all, waitq_wake_one.
 * Invariants. I1 w->q is NULL exactly when w is in no queue; the waker's last touch of w is to store that.
 * Locks.      q->lock. Callers of wake may hold the condition's lock (any of rank above RANK_WAITQ).
 *             A queue must outlive its wakers: wake under the condition's lock, or with a reference.
 */
#include "kern/proc/waitq.h"
#include "kern/boot/print.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"

void
waitq_init(struct waitq *q)
{
	*q = (struct waitq)WAITQ(*q);
}

/* Is nobody waiting? A hint, ordered after the caller's earlier stores. */
bool
waitq_empty(struct waitq *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&q->waiters.next, __ATOMIC_RELAXED) == &q->waiters;
}

/* Enqueue w at the end. Requires: thread_prepare_sleep was called; w in no queue. */
void
waitq_add(struct waitq *q, struct waiter *w)
{
	spin_lock(&q->lock);
	w->q = q;
	list_push_back(&q->waiters, &w->link);
	spin_unlock(&q->lock);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Leave the queue, if still in it. */
void
waitq_del(struct waiter *w)
{
	struct waitq *q = __atomic_load_n(&w->q, __ATOMIC_ACQUIRE);

	if (!q)
		return;
	spin_lock(&q->lock);
	list_remove(&w->link);
	w->q = NULL;
	spin_unlock(&q->lock);
}

/* Requires: q->lock. */
static void
wake_waiter(struct waiter *w)
{
	list_remove(&w->link);
	thread_wake(w->thread);
	__atomic_store_n(&w->q, NULL, __ATOMIC_RELEASE);         /* I1: w may be gone from here on */
}

/* Wake everybody in the queue. From any context. */
void
waitq_wake_all(struct waitq *q)
{
	if (waitq_empty(q))
		return;
	spin_lock(&q->lock);
	list_for_each_safe(w, &q->waiters, struct waiter, link)
		wake_waiter(w);
	spin_unlock(&q->lock);
}

/* Wake the one who has waited longest. Returns: false, nobody waited. */
bool
waitq_wake_one(struct waitq *q)
{
	struct waiter *w;

	if (waitq_empty(q))
		return false;
	spin_lock(&q->lock);
	w = list_first(&q->waiters, struct waiter, link);
	if (w)
		wake_waiter(w);
	spin_unlock(&q->lock);
	return w != NULL;
}

/* Sleep once in the queue that w is in, and leave it.
 *
 * Requires: thread_prepare_sleep, waitq_add; no lock held.
 * Returns:  0: look at the condition again; -ERESTARTSYS: interrupted (WAIT_INTR); -ETIMEDOUT: the deadline
 *           has passed.
 */
int
wait_step(struct waiter *w, int how, uint64_t deadline)
{
	struct thread *t = w->thread;
	int err = 0;

	if ((how & WAIT_INTR) && thread_interrupted()) {
		thread_cancel_sleep();
		waitq_del(w);
		return -ERESTARTSYS;
	}
	t->wait_for = w->q;
	thread_sleep_timed(deadline);
	t->wait_for = NULL;
	waitq_del(w);
	if ((how & WAIT_INTR) && thread_interrupted())
		err = -ERESTARTSYS;
	else if (deadline && clock_ns() >= deadline)
		err = -ETIMEDOUT;
	return err;
}
