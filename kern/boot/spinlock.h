/* spinlock.h - ranked spinlocks.                                                            (lab 1)
 * Contracts are above the functions in spinlock.c.  Interrupts are off while any spinlock is held. */
#ifndef KERN_BOOT_SPINLOCK_H
#define KERN_BOOT_SPINLOCK_H

#include "kern/boot/cpu.h"

/* A lock's rank is its place in the syllabus: lab, then place within the lab (reading order, 0..99).
 * While a lock is held only locks of smaller rank may be acquired: upper layers lock before lower ones. */
#define RANK(lab, place) ((lab) * 100 + (place))

struct spinlock {
	uint32_t locked;           /* [a] 1: somebody holds it */
	uint32_t rank;             /* [I] */
	const char *name;          /* [I] for panic and deadlock reports */
	struct cpu *cpu;           /* who holds it, or NULL; for asserts and reports */
};

#define SPINLOCK(name_, rank_) { .rank = (rank_), .name = (name_) }

void spin_init(struct spinlock *l, const char *name, uint32_t rank);
void spin_lock(struct spinlock *l);            /* irqs off, wait; asserts the rank */
bool spin_trylock(struct spinlock *l);
void spin_unlock(struct spinlock *l);          /* irqs back as before the outermost lock */
bool spin_held(const struct spinlock *l);      /* by this CPU */

/* Called while a CPU waits for a lock with interrupts off: lab 13 answers TLB flush requests there. Must
 * not lock. */
void spin_set_wait_hook(void (*fn)(void));

#endif
