/* writeback.c - from the page cache to the disk: sync, fsync, the flusher thread, throttling.    (lab 7)
 *
 * Idea.       Writes only mark pages dirty. The flusher thread writes them some seconds later, or at once
 *             when a tenth of memory is dirty; a writer that finds a fifth of memory dirty writes its own
 *             file's pages itself. Pages go to the file system in runs of consecutive numbers, so that it can
 *             lay them out in one piece.
 * Interface.  pagecache_sync, vfs_sync_all (vfs.h); writeback.h.
 * Invariants. I1 PC_DIRTY is cleared before the write starts, so a change during the write makes the page
 * dirty again.
 *             I2 before a mapped page is written, its entries are write-protected: a later store faults and
 *             marks it.
 *             I3 pages first, then attributes (the write may allocate blocks), then the device's cache.
 * Locks.      None held while the file system works, but whatever its callers hold (ip->lock, sb->ns).
 */
#include "fs/vfs/writeback.h"

#include "fs/vfs/inode.h"
#include "fs/vfs/pcache.h"
#include "fs/vfs/super.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"

#define FLUSH_AFTER (5 * NSEC)

static struct waitq urgent_wait = WAITQ(urgent_wait);
static bool urgent;
static uint64_t background_limit, hard_limit;    /* [I] pages */

void
page_mark_dirty(struct inode *ip, struct page *p)
{
	if (!pcache_set_dirty(ip, p) || inode_is_memory(ip))
		return;
	inode_dirty_pages(ip);
	if (pcache_dirty_total() > background_limit && !__atomic_exchange_n(&urgent, true, __ATOMIC_ACQ_REL))
		waitq_wake_all(&urgent_wait);
}

/* ---- one file ---- */

/* Give n consecutive pages under write-back to the file system; it or we end them. */
static void
submit_run(struct inode *ip, struct page **pages, int n)
{
	int err = ip->iops->write_pages(ip, pages, n);
	for (int i = 0; err && i < n; i++)
		page_write_done(pages[i], err);
}

/* Turn a locked dirty page into one under write-back. Returns false: not dirty any more, or truncated. */
static bool
page_begin_write(struct inode *ip, struct page *p)
{
	if (!page_has(p, PC_VALID) || !pcache_clear_dirty(ip, p))
		return false;
	page_set(p, PC_WRITEBACK);
	__atomic_add_fetch(&ip->nwriteback, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&ip->sb->nwriteback, 1, __ATOMIC_RELAXED);
	return true;
}

/* Write n dirty pages with consecutive numbers; takes over their references.
 *
 * Does:     locks them all in ascending order, waits for a write that is under way, clears their marks, then
 *           protects mappings (I2) and starts the write in as few runs as possible.
 */
static void
write_batch(struct inode *ip, struct page **pages, int n)
{
	uint64_t first = pages[0]->index;

	for (int i = 0; i < n; i++) {
		page_lock(ip, pages[i]);
		page_wait(ip, pages[i], PC_WRITEBACK);
	}
	uint64_t take = 0;
	for (int i = 0; i < n; i++) {
		if (page_begin_write(ip, pages[i]))
			take |= 1ul << i;
		page_unlock(ip, pages[i]);
	}
	if (map_object_mapped(&ip->object))
		map_object_clean(&ip->object, first, first + n - 1);
	for (int i = 0; i < n;) {
		int run = i;
		while (run < n && (take >> run & 1))
			run++;
		if (run > i) {
			submit_run(ip, pages + i, run - i);
			i = run;
		} else {
			page_unref(pages[i++]);
		}
	}
}

/* Wait until the pages that are being written are. Returns 0 or the error of any since the last call. */
static int
write_result(struct inode *ip)
{
	pagecache_wait(ip);
	return __atomic_exchange_n(&ip->wberr, 0, __ATOMIC_ACQ_REL);
}

/* Write the dirty pages of [first, last].
 *
 * Does:     starts the writes; wait: until they have ended.
 * Returns:  0; when waiting, the error of any write-back since the last such call (reported once). May sleep.
 */
int
pagecache_sync(struct inode *ip, uint64_t first, uint64_t last, bool wait)
{
	struct page *pages[PC_BATCH];

	if (inode_is_memory(ip))
		return 0;
	for (uint64_t i = first; i <= last;) {
		int n = pcache_find_dirty(ip, &i, last, pages, PC_BATCH);
		if (!n)
			break;
		write_batch(ip, pages, n);
		i += n;
	}
	return wait ? write_result(ip) : 0;
}

/* Write the attributes if they changed. Returns 0 or -errno (then they stay marked). */
static int
write_attributes(struct inode *ip)
{
	uint32_t was = __atomic_fetch_and(&ip->flags, ~(uint32_t)I_DIRTY, __ATOMIC_ACQ_REL);

	if (!(was & I_DIRTY) || !ip->sb->ops->write_inode)
		return 0;
	int err = ip->sb->ops->write_inode(ip);
	if (err)
		inode_dirty(ip);
	return err;
}

/* Make a file's contents (and attributes, unless datasync allows otherwise) durable. The file system may write
 * what it has to write while the pages are under way. May sleep. Returns 0 or -errno. */
int
inode_sync(struct inode *ip, bool datasync)
{
	int err, err2;

	pagecache_sync(ip, 0, ~0ul, false);
	if (ip->iops->fsync) {
		err2 = ip->iops->fsync(ip, datasync);
	} else {
		pagecache_wait(ip);
		err2 = write_attributes(ip);
		if (!err2 && ip->sb->ops->sync)
			err2 = ip->sb->ops->sync(ip->sb, true);
	}
	err = write_result(ip);
	return err ? err : err2;
}

/* ---- whole file systems ---- */

/* Back on the dirty list if there is still something to write. */
static void
keep_dirty(struct inode *ip)
{
	spin_lock(&ip->sb->lock);
	if ((ip->flags & (I_DIRTY | I_DIRTY_PAGES)) && list_empty(&ip->dirty_link))
		list_push_back(&ip->sb->dirty, &ip->dirty_link);
	spin_unlock(&ip->sb->lock);
}

static void
start_pages(struct super *sb)
{
	struct list todo = LIST_INIT(todo);
	struct inode *ip;

	inode_splice_dirty(sb, &todo);
	while ((ip = inode_pop(sb, &todo))) {
		__atomic_fetch_and(&ip->flags, ~(uint32_t)I_DIRTY_PAGES, __ATOMIC_ACQ_REL);
		pagecache_sync(ip, 0, ~0ul, false);
		keep_dirty(ip);
		inode_put(ip);
	}
}

static int
write_all_attributes(struct super *sb)
{
	struct list todo = LIST_INIT(todo);
	struct inode *ip;
	int err = 0;

	inode_splice_dirty(sb, &todo);
	while ((ip = inode_pop(sb, &todo))) {
		int e = write_attributes(ip);
		err = err ? err : e;
		keep_dirty(ip);
		inode_put(ip);
	}
	return err;
}

static int
sync_inside(struct super *sb, bool wait)
{
	mutex_lock(&sb->sync_lock);
	start_pages(sb);
	if (wait)
		wait_event(&sb->wait, !__atomic_load_n(&sb->nwriteback, __ATOMIC_ACQUIRE), (void *)NULL);
	int err = write_all_attributes(sb);
	int err2 = sb->ops->sync ? sb->ops->sync(sb, wait) : 0;
	mutex_unlock(&sb->sync_lock);
	return err ? err : err2;
}

/* Write what is dirty in one file system: pages, attributes, metadata (I3). wait: return when it is durable.
 * One that is just being mounted or unmounted sees to that itself. May sleep. */
int
super_sync(struct super *sb, bool wait)
{
	if (!super_enter(sb))
		return 0;
	int err = sync_inside(sb, wait);
	super_leave(sb);
	return err;
}

/* The same for its unmounting, after super_end. */
void
super_sync_last(struct super *sb)
{
	sync_inside(sb, true);
}

int
vfs_sync_all(bool wait)
{
	int err = 0;

	for (struct super *sb = super_next(NULL); sb; sb = super_next(sb)) {
		int e = super_sync(sb, wait);
		err = err ? err : e;
	}
	return err;
}

/* ---- the flusher, throttling ---- */

/* Called by writers as they go: when a fifth of memory is dirty, write this file's pages and wait for them.
 *
 * Requires: no spinlock; ip->lock may be held (write-back never takes it).
 */
void
writeback_balance(struct inode *ip)
{
	for (int i = 0; i < 100 && pcache_dirty_total() > hard_limit; i++) {
		if (ip->ndirty) {
			pagecache_sync(ip, 0, ~0ul, false);
			wait_event(&ip->wait, !__atomic_load_n(&ip->nwriteback, __ATOMIC_ACQUIRE), (void *)NULL);
		} else {
			thread_sleep_until(clock_ns() + NSEC / 100, false);
		}
	}
}

/* Sleeps for good while nothing is dirty; else writes everything every five seconds, or when it is urgent. */
static void
flusher(void *arg)
{
	(void)arg;
	for (;;) {
		wait_event(&inode_dirty_wait, inode_kick_pending(), (void *)NULL);
		(void)wait_event_timeout(&urgent_wait, __atomic_load_n(&urgent, __ATOMIC_ACQUIRE), (void *)NULL,
			clock_ns() + FLUSH_AFTER);
		__atomic_store_n(&urgent, false, __ATOMIC_RELEASE);
		int err = vfs_sync_all(false);
		if (err)
			klog(LOG_WARN, "flusher: write-back failed: error %d\n", err);
	}
}

static void
shutdown_sync(void)
{
	vfs_sync_all(true);
}

static void
writeback_init(void)
{
	background_limit = page_count_total() / 10;
	hard_limit = page_count_total() / 5;
	struct thread *t = thread_create("flusher", flusher, NULL);
	if (t)
		thread_start(t);
	else
		klog(LOG_ERR, "no memory for the flusher thread\n");
	shutdown_register(shutdown_sync);
}
INITCALL(7, writeback_init);
