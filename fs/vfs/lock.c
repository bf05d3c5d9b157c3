/* lock.c - byte-range locks (fcntl) and whole-file locks (flock).                             (lab 7)
 *
 * Idea.       One list of all locks held in the system: there are few. Setting a range first cuts what the
 *             same owner holds there, as POSIX has it, then puts the new piece in:
 *
 *                 held    [------ R ------]            set W      [--]
 *                 becomes [-- R --][ W ][R]            unlock makes the same cuts and puts nothing
 *
 * Interface.  lock.h.
 * Invariants. I1 locks of one owner on one file do not overlap (per kind).  I2 locks of different owners
 * overlap only when both
 *             are shared.  I3 `waits` holds every sleeping request, so a cycle is found before the last one
 *             sleeps.
 * Locks.      flk_lock RANK(7, 65).
 */
#include "fs/vfs/lock.h"

#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

static struct spinlock flk_lock = SPINLOCK("file locks", RANK(7, 65));
static struct list held = LIST_INIT(held), waits = LIST_INIT(waits);
static uint32_t nheld;       /* [a] */
static struct waitq changed = WAITQ(changed);

static bool
overlaps(const struct flk *a, const struct flk *b)
{
	return a->ip == b->ip && a->whole == b->whole && a->lo <= b->hi && b->lo <= a->hi;
}

/* A lock of somebody else that excludes `want`, or NULL. Requires: flk_lock. */
static struct flk *
conflict(const struct flk *want)
{
	list_for_each(l, &held, struct flk, link)
		if (l->owner != want->owner && overlaps(l, want) && (l->type == F_WRLCK || want->type == F_WRLCK))
			return l;
	return NULL;
}

/* Would waiting for `other` end in waiting for ourselves? Requires: flk_lock. */
static bool
deadlock(const struct flk *want, const struct flk *other)
{
	for (int i = 0; i < 64 && other; i++) {
		const struct flk *next = NULL;
		if (other->owner == want->owner)
			return true;
		list_for_each(w, &waits, struct flk, link)
			if (w->owner == other->owner)
				next = conflict(w);
		other = next;
	}
	return false;
}

static void
hold(struct flk *l)
{
	list_push_back(&held, &l->link);
	nheld++;
}

static void
drop(struct flk *l)
{
	list_remove(&l->link);
	nheld--;
	kfree(l);
}

/* Cut [want->lo, want->hi] out of what the owner holds; *spare is used when a piece splits. Requires:
 * flk_lock. */
static void
cut(const struct flk *want, struct flk **spare)
{
	list_for_each_safe(l, &held, struct flk, link) {
		if (l->owner != want->owner || !overlaps(l, want))
			continue;
		if (l->lo < want->lo && l->hi > want->hi) {
			struct flk *right = *spare;
			*spare = NULL;
			*right = *l;
			right->lo = want->hi + 1;
			hold(right);
			l->hi = want->lo - 1;
		} else if (l->lo < want->lo) {
			l->hi = want->lo - 1;
		} else if (l->hi > want->hi) {
			l->lo = want->hi + 1;
		} else {
			drop(l);
		}
	}
}

/* Wait until nothing excludes `want`. Requires: flk_lock, dropped while asleep. */
static int
wait_free(const struct flk *want, bool wait)
{
	struct flk me = *want;
	struct flk *other = conflict(want);
	int err = 0;

	if (!other)
		return 0;
	if (!wait)
		return -EAGAIN;
	if (!want->whole && deadlock(want, other))
		return -EDEADLK;
	list_push_back(&waits, &me.link);
	err = wait_event_intr(&changed, !conflict(want), &flk_lock);
	list_remove(&me.link);
	return err;
}

/* Set or release a lock.
 *
 * Does:     F_UNLCK cuts; else waits (or not) until no other owner's lock is in the way, then replaces what
 *           the owner had there.
 * Returns:  0; -EAGAIN: in the way and !wait; -EDEADLK; -ENOLCK: no memory; -ERESTARTSYS: interrupted. May
 *           sleep.
 */
int
flk_set(const struct flk *want, bool wait)
{
	struct flk *fresh = kmalloc(sizeof *fresh), *spare = kmalloc(sizeof *spare);
	int err = fresh && spare ? 0 : -ENOLCK;

	spin_lock(&flk_lock);
	if (!err && want->type != F_UNLCK)
		err = wait_free(want, wait);
	if (!err) {
		cut(want, &spare);
		if (want->type != F_UNLCK) {
			*fresh = *want;
			hold(fresh);
			fresh = NULL;
		}
		waitq_wake_all(&changed);
	}
	spin_unlock(&flk_lock);
	kfree(fresh);
	kfree(spare);
	return err;
}

bool
flk_test(const struct flk *want, struct flk *other)
{
	spin_lock(&flk_lock);
	struct flk *l = conflict(want);
	if (l)
		*other = *l;
	spin_unlock(&flk_lock);
	return l;
}

void
flk_drop(struct inode *ip, const void *owner)
{
	if (!__atomic_load_n(&nheld, __ATOMIC_RELAXED))
		return;
	spin_lock(&flk_lock);
	list_for_each_safe(l, &held, struct flk, link)
		if (l->ip == ip && l->owner == owner)
			drop(l);
	waitq_wake_all(&changed);
	spin_unlock(&flk_lock);
}
