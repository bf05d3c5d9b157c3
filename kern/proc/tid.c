/* tid.c - numbers for threads and processes: one space, 1 to 32767.                            (lab 4)
 *
 * Idea.       A bitmap and a place to look on from. The search goes round, so that a number comes back into
 *             use as late as possible: a stale pid in a shell's hand should hit nobody.
 * Interface.  tid_alloc, tid_free. 1 is never handed out: it is init's.
 * Invariants. I1 a set bit is a number in use.  I2 0 and 1 are always set.
 * Locks.      tid_lock.
 */
#include "kern/boot/print.h"
#include "kern/proc/thread.h"
#include "lib/abi/errno.h"

#define NTID 32768
#define WORD_BITS 64

static struct spinlock tid_lock = SPINLOCK("tids", RANK(4, 15));
static uint64_t used[NTID / WORD_BITS] = { 3 };         /* I1, I2 */
static int next_tid = 2;

/* A number that nobody uses. Returns: it, or -EAGAIN. */
int
tid_alloc(void)
{
	int tid = -EAGAIN, word;
	uint64_t avail;

	spin_lock(&tid_lock);
	word = next_tid / WORD_BITS;
	avail = ~used[word] & ~0ul << next_tid % WORD_BITS;
	for (int i = 0; i <= NTID / WORD_BITS && !avail; i++) {
		word = (word + 1) % (NTID / WORD_BITS);
		avail = ~used[word];
	}
	if (avail) {
		tid = word * WORD_BITS + __builtin_ctzl(avail);
		used[word] |= 1ul << tid % WORD_BITS;
		next_tid = (tid + 1) % NTID;
	}
	spin_unlock(&tid_lock);
	return tid;
}

/* Give a number back. 0 and 1 are kept. */
void
tid_free(int tid)
{
	if (tid <= 1)
		return;
	spin_lock(&tid_lock);
	assert(used[tid / WORD_BITS] & 1ul << tid % WORD_BITS);
	used[tid / WORD_BITS] &= ~(1ul << tid % WORD_BITS);
	spin_unlock(&tid_lock);
}
