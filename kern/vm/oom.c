/* oom.c - who ends when memory has run out.                                                    (lab 5)
 *
 * Idea.       Memory is promised (mmap, fork) more often than it is there; a fault may find none, and there is no error
 *             to return. Whoever faults at that moment is hardly to blame: the process with the most pages is, if it
 *             has a good part of all. If nobody has that much, the faulting process ends, after a while.
 * Interface.  oom_relieve, called by fault.c without locks.
 * Invariants. init is never chosen.
 */
#include "kern/vm/oom.h"
#include "kern/boot/print.h"
#include "kern/proc/proc.h"
#include "kern/proc/sched.h"
#include "kern/trap/clock.h"
#include "lib/abi/signal.h"

#define HOG_PART 8                    /* a hog has more than 1/8 of the memory */
#define PAUSE_NS 5000000              /* for the chosen one to end */
#define TRIES_HOG 400                 /* it should have ended by now: perhaps it waits for a lock that the caller holds */
#define TRIES 20                      /* a hog that is just being taken apart holds memory, but no longer counts */

static uint64_t
pages_of(struct proc *p)
{
	struct aspace *as = proc_aspace(p);
	uint64_t n = as ? __atomic_load_n(&as->rss, __ATOMIC_RELAXED) : 0;

	if (as)
		aspace_put(as);
	return n;
}

/* The process with the most pages, referenced; NULL: none has many. */
static struct proc *
hog_find(void)
{
	uint64_t most = page_count_total() / HOG_PART, n;
	struct proc *hog = NULL, *p;
	int pos = 1;

	while ((p = proc_next(&pos)) != NULL) {
		if ((n = pages_of(p)) <= most) {
			proc_put(p);
			continue;
		}
		most = n;
		if (hog)
			proc_put(hog);
		hog = p;
	}
	return hog;
}

bool
oom_relieve(int tries)
{
	struct proc *hog = hog_find();
	bool wait = !current()->killed && hog != current_proc() &&
		tries < (hog || current_proc() == init_proc ? TRIES_HOG : TRIES);

	if (wait && hog) {
		if (!__atomic_load_n(&hog->exiting, __ATOMIC_RELAXED))
			klog(LOG_INFO, "out of memory: pid %d (%s) ends\n", hog->pid, hog->name);
		proc_kill_threads(hog, SIGKILL);
	}
	if (hog)
		proc_put(hog);
	if (wait)
		thread_sleep_until(clock_ns() + PAUSE_NS, false);
	return wait;
}
