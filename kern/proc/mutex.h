/* mutex.h - locks that sleep. Ranked as spinlocks are; never taken under one.                (lab 4) */
#ifndef KERN_PROC_MUTEX_H
#define KERN_PROC_MUTEX_H

#include "kern/boot/spinlock.h"
#include "lib/kern/list.h"

struct thread;

/* key: l lock; a atomic */
struct mutex {
	struct thread *owner;      /* [a] NULL: free. The uncontended path is one compare-and-swap */
	uint32_t rank;             /* [I] */
	uint32_t contended;        /* [a] someone waits: unlock must wake */
	const char *name;          /* [I] */
	struct spinlock lock;      /* guards waiters; rank RANK(4, 10) */
	struct list waiters;  /* [l] first come, first served */
};

#define MUTEX(m_, name_, rank_) { .rank = (rank_), .name = (name_), \
	.lock = SPINLOCK(name_, RANK(4, 10)), .waiters = LIST_INIT((m_).waiters) }

void mutex_init(struct mutex *m, const char *name, uint32_t rank);
void mutex_lock(struct mutex *m);                /* may sleep; asserts: no spinlock, not in interrupt, rank */
bool mutex_trylock(struct mutex *m);             /* does not sleep; no rank assert (that is what it is for) */
void mutex_unlock(struct mutex *m);
bool mutex_held(const struct mutex *m);          /* by the current thread */

#endif
