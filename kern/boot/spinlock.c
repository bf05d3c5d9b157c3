/* spinlock.c - locks that know their place.                                                   (lab 1)
 *
 * Idea.       Whoever changes `locked` from 0 to 1 holds the lock; the others look at it until it is 0 and
 *             try again. (A queue of tickets would be fair, but on a virtual machine the next in line may be
 *             a CPU that the host is not running at the moment, and all behind it wait along: with 4 CPUs on
 *             2 host cores tickets made a ring of 4 waiting threads 20 to 50 times slower.)
 *             Every lock also has a rank; a CPU that asks for a lock whose rank is not below all those it
 *             holds has found a deadlock that merely did not happen today, and is told both names.
 * Interface.  spin_lock, spin_unlock, spin_trylock, spin_held.
 * Invariants. I1 locked is 1 while somebody holds it.  I2 l->cpu is the holder, or NULL.
 *             I3 interrupts are off on a CPU with nheld > 0.
 */
#include "kern/boot/spinlock.h"
#include "kern/boot/print.h"

#define STUCK_SPINS (1u << 27)        /* many seconds: the holder will never come back */

static void (*wait_hook)(void);

void
spin_set_wait_hook(void (*fn)(void))
{
	wait_hook = fn;
}

void
spin_init(struct spinlock *l, const char *name, uint32_t rank)
{
	*l = (struct spinlock)SPINLOCK(name, rank);
}

bool
spin_held(const struct spinlock *l)
{
	return l->cpu == cpu_self();
}

/* Assert that l may be taken now: its rank is below that of every lock held (I3 keeps the list still). */
static inline void
rank_check(struct cpu *c, struct spinlock *l)
{
	for (int i = 0; i < c->nheld; i++)
		if (__builtin_expect(c->held[i]->rank <= l->rank, 0))
			panic("lock order: wants %s (rank %u) while holding %s (rank %u): lower layers lock last%s",
				l->name, l->rank, c->held[i]->name, c->held[i]->rank,
				c->held[i] == l ? "; it is the same lock: self-deadlock" : "");
	if (__builtin_expect(c->mutex_rank <= l->rank, 0) && c->nheld == 0 && !c->in_irq)
		panic("lock order: wants spinlock %s (rank %u) while holding a mutex of rank %u",
			l->name, l->rank, c->mutex_rank);
}

static inline bool
try_take(struct spinlock *l)
{
	return __atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE) == 0;
}

/* Wait for the lock and take it, and tell the whole story when it never comes. Only looks while it is held:
 * writing would take the cache line away from the holder. */
static __attribute__((noinline)) void
spin_wait(struct spinlock *l)
{
	struct cpu *owner;

	for (uint32_t n = 0; __atomic_load_n(&l->locked, __ATOMIC_RELAXED) || !try_take(l); n++) {
		if (wait_hook)
			wait_hook();
		if (panicking())
			for (;;)
				asm volatile("cli; hlt");
		owner = *(struct cpu *volatile *)&l->cpu;
		if (n == STUCK_SPINS)
			panic("stuck lock: cpu %d waits for %s (rank %u), held by cpu %d which holds %d lock(s)",
				cpu_self()->id, l->name, l->rank, owner ? owner->id : -1, owner ? owner->nheld : 0);
		cpu_relax();
	}
}

static inline void
irq_push(struct cpu *c, bool on)
{
	if (c->irq_depth++ == 0)
		c->irq_was_on = on;
}

static inline void
irq_pop(struct cpu *c)
{
	if (--c->irq_depth == 0 && c->irq_was_on)
		irq_on();
}

static inline void
held_add(struct cpu *c, struct spinlock *l)
{
	if (__builtin_expect(c->nheld == NHELD, 0))
		panic("more than %d spinlocks held, last %s", NHELD, l->name);
	l->cpu = c;
	c->held[c->nheld++] = l;
}

/* Take the lock, waiting as long as it takes.
 *
 * Does:     turns interrupts off (until the outermost spin_unlock). Never sleeps.
 * Panics:   when a held lock has the same or a smaller rank; when the lock does not come for many seconds.
 */
void
spin_lock(struct spinlock *l)
{
	bool on = irq_save();
	struct cpu *c = cpu_self();

	irq_push(c, on);
	rank_check(c, l);
	if (__builtin_expect(!try_take(l), 0))
		spin_wait(l);
	held_add(c, l);
}

/* Take the lock if it is free. No rank check: who does not wait cannot deadlock. */
bool
spin_trylock(struct spinlock *l)
{
	bool on = irq_save();
	struct cpu *c = cpu_self();

	if (!try_take(l)) {
		irq_restore(on);
		return false;
	}
	irq_push(c, on);
	held_add(c, l);
	return true;
}

/* Release. Requires: held by this CPU. Locks may be released in any order. */
void
spin_unlock(struct spinlock *l)
{
	struct cpu *c = cpu_self();
	int i = c->nheld - 1;

	if (__builtin_expect(l->cpu != c, 0))
		panic("unlock of %s, which this CPU does not hold", l->name);
	while (c->held[i] != l)
		i--;
	for (c->nheld--; i < c->nheld; i++)
		c->held[i] = c->held[i + 1];
	l->cpu = NULL;
	__atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE);
	irq_pop(c);
}
