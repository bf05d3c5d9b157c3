/* mutex.c - locks that sleep.                                                                  (lab 4)
 *
 * Idea.       The word `owner` is the lock: NULL or the thread that holds it. Free to held and back is one
 *             atomic instruction each while nobody waits. Who finds it held queues up and sleeps; unlock
 *             then hands the mutex to the first in the queue directly.
 * Interface.  mutex_lock, mutex_trylock, mutex_unlock, mutex_held.
 * Invariants. I1 owner changes NULL -> thread by compare-and-swap only, thread -> NULL by that thread only.
 *             I2 while someone is in `waiters`, contended is set, so that unlock comes to look.
 *             I3 t->mutexes lists what t holds; a mutex_lock'ed one has a smaller rank than those held at
 *             the time.
 * Locks.      m->lock guards waiters; spinlocks of the same rank, one at a time.
 */
#include "kern/proc/mutex.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/proc/sched.h"

struct mutex_waiter {
	struct list link;
	struct thread *thread;
};

void
mutex_init(struct mutex *m, const char *name, uint32_t rank)
{
	*m = (struct mutex)MUTEX(*m, name, rank);
}

bool
mutex_held(const struct mutex *m)
{
	return __atomic_load_n(&m->owner, __ATOMIC_RELAXED) == current();
}

static inline void
mutex_set_rank(struct thread *t, uint32_t rank)
{
	t->mutex_rank = rank;
	this_cpu->mutex_rank = rank;          /* where spin_lock looks; the thread changes CPU only in schedule */
}

static inline void
mutex_note(struct thread *t, struct mutex *m)
{
	if (__builtin_expect(t->nmutex == NHELD_MUTEX, 0))
		panic("more than %d mutexes held, last %s", NHELD_MUTEX, m->name);
	t->mutexes[t->nmutex++] = m;
	if (m->rank < t->mutex_rank)
		mutex_set_rank(t, m->rank);
}

static void
mutex_forget(struct thread *t, struct mutex *m)
{
	uint32_t min = UINT32_MAX;
	int i = t->nmutex - 1;

	while (t->mutexes[i] != m)
		i--;
	for (t->nmutex--; i < t->nmutex; i++)
		t->mutexes[i] = t->mutexes[i + 1];
	if (m->rank > t->mutex_rank)
		return;
	for (i = 0; i < t->nmutex; i++)
		if (t->mutexes[i]->rank < min)
			min = t->mutexes[i]->rank;
	mutex_set_rank(t, min);
}

static inline bool
mutex_grab(struct mutex *m, struct thread *t)
{
	struct thread *nobody = NULL;

	return __atomic_compare_exchange_n(&m->owner, &nobody, t, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Queue up and sleep until the mutex is ours. */
static __attribute__((noinline)) void
mutex_wait(struct mutex *m, struct thread *t)
{
	struct mutex_waiter w = { .thread = t };

	spin_lock(&m->lock);
	list_push_back(&m->waiters, &w.link);
	__atomic_store_n(&m->contended, 1, __ATOMIC_SEQ_CST);    /* I2, before the last try */
	if (mutex_grab(m, t)) {
		list_remove(&w.link);
		m->contended = !list_empty(&m->waiters);
	}
	t->wait_for = m;
	while (__atomic_load_n(&m->owner, __ATOMIC_ACQUIRE) != t) {
		thread_prepare_sleep(false);
		spin_unlock(&m->lock);
		thread_sleep();
		spin_lock(&m->lock);
	}
	t->wait_for = NULL;
	spin_unlock(&m->lock);
}

static void
mutex_check(const struct mutex *m, const struct thread *t)
{
	if (this_cpu->nheld > 0 || this_cpu->in_irq)
		panic("mutex %s wanted under a spinlock or in an interrupt handler: it may sleep", m->name);
	if (m->owner == t)
		panic("mutex %s (rank %u): self-deadlock", m->name, m->rank);
	if (t->mutex_rank <= m->rank)
		panic("lock order: wants mutex %s (rank %u) while holding one of rank %u", m->name, m->rank,
			t->mutex_rank);
}

/* Take the mutex, sleeping as long as it takes.
 *
 * Requires: no spinlock held, not in an interrupt handler; rank below all mutexes held (asserted).
 */
void
mutex_lock(struct mutex *m)
{
	struct thread *t = current();

	mutex_check(m, t);
	if (__builtin_expect(!mutex_grab(m, t), 0))
		mutex_wait(m, t);
	mutex_note(t, m);
}

/* Take the mutex if it is free. Does not sleep, and is free of the rank rule: who does not wait cannot
 * deadlock. */
bool
mutex_trylock(struct mutex *m)
{
	struct thread *t = current();

	if (!mutex_grab(m, t))
		return false;
	mutex_note(t, m);
	return true;
}

/* Hand a free mutex to the first waiter, unless somebody was quicker: he will come here when he unlocks. */
static __attribute__((noinline)) void
mutex_handoff(struct mutex *m)
{
	struct mutex_waiter *w;
	struct thread *t;

	spin_lock(&m->lock);
	w = list_first(&m->waiters, struct mutex_waiter, link);
	if (w) {
		t = w->thread;
		if (mutex_grab(m, t)) {
			list_remove(&w->link);
			m->contended = !list_empty(&m->waiters);
			/* he needs m->lock to go on: w and t are there until we let go */
			thread_wake(t);
		}
	} else {
		m->contended = 0;
	}
	spin_unlock(&m->lock);
}

/* Release. Requires: held by the current thread. */
void
mutex_unlock(struct mutex *m)
{
	struct thread *t = current();

	if (__builtin_expect(m->owner != t, 0))
		panic("unlock of mutex %s, which this thread does not hold", m->name);
	mutex_forget(t, m);
	__atomic_store_n(&m->owner, NULL, __ATOMIC_SEQ_CST);     /* before the look at contended */
	if (__builtin_expect(__atomic_load_n(&m->contended, __ATOMIC_SEQ_CST), 0))
		mutex_handoff(m);
}

/* For panic: who was running, and what he held. */
static void
mutex_panic_facts(void)
{
	struct thread *t = current();

	if (!t)
		return;
	klog(LOG_ERR, "  thread %d (%s)%s\n", t->tid, t->name, t->proc ? "" : ", kernel");
	for (int i = 0; i < t->nmutex && i < NHELD_MUTEX; i++)
		klog(LOG_ERR, "  holds mutex %s (rank %u)\n", t->mutexes[i]->name, t->mutexes[i]->rank);
}

static void
mutex_setup(void)
{
	panic_register(mutex_panic_facts);
}

INITCALL(4, mutex_setup);
