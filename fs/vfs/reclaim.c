/* reclaim.c - caches give memory back.                                                        (lab 7)
 *
 * Idea.       When an allocation finds no page, clean file pages that were not used for a round of the clock
 *             go first; then names and inodes that nobody uses, whose pages can go in the next round. Dirty
 *             pages are left to the flusher, which throttling keeps ahead of (writeback.c).
 * Interface.  None: registered with the page allocator.
 * Invariants. I1 nothing here takes a lock that sleeps, or calls a file system, while the thread holds a
 * mutex: whoever ran out of
 *             memory may be that file system.
 */
#include "fs/vfs/dentry.h"
#include "fs/vfs/inode.h"
#include "fs/vfs/pcache.h"
#include "kern/boot/initcall.h"

#define BATCH 32

/* One batch of pages; `all`: used ones too. Returns how many were freed. */
static uint64_t
reclaim_pages(bool all)
{
	struct page *pages[BATCH];
	int n = pcache_scan(pages, BATCH, all);
	uint64_t done = 0;

	for (int i = 0; i < n; i++) {
		done += pcache_remove_unused(pages[i]);
		page_unref(pages[i]);
	}
	return done;
}

static uint64_t
reclaim(uint64_t want)
{
	uint64_t done = 0;

	if (want < BATCH)
		want = BATCH;
	for (int round = 0; round < 64 && done < want; round++)
		done += reclaim_pages(round >= 32);
	if (done < want && current() && !current()->nmutex) {
		dentry_prune(256);
		inode_prune(256);
		for (int round = 0; round < 16 && done < want; round++)
			done += reclaim_pages(true);
	}
	return done;
}

static void
reclaim_init(void)
{
	reclaim_register(reclaim);
}
INITCALL(7, reclaim_init);
