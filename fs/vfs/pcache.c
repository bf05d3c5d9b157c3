/* pcache.c - cached file pages: finding, locking, adding, removing.                           (lab 7)
 *
 * Idea.       Each inode has a radix tree from page number to struct page. The tree owns one reference of
 *             each page; whoever found it holds another. A page is filled while PC_LOCKED; when PC_VALID it
 *             may be read without any lock, because contents of a valid page only change as a file's contents
 *             may change under a reader.
 * Interface.  pcache.h; page_read_done and page_write_done for file systems.
 * Invariants. I1 a page in the tree has owner == inode, index == its slot; a removed one has owner NULL.
 *             I2 PC_DIRTY and the tree's dirty mark agree; both change only under cache_lock.
 *             I3 a page is removed only while nobody else holds a reference, or by truncate with PC_LOCKED
 *             held.
 *             I4 LOCKED for reading and WRITEBACK hold a reference, and end in page_read_done /
 *             page_write_done.
 *             I5 inodes are pool objects: p->owner, read while holding a page, can always be locked, then
 *             compared (I1).
 * Locks.      ip->cache_lock for the tree and marks; then clock_lock for the list that reclaim scans.
 *             PC_LOCKED is a sleeping lock without a rank: whoever holds it touches user memory only by
 *             copyin_nofault.
 */
#include "fs/vfs/pcache.h"

#include "fs/vfs/radix.h"
#include "kern/boot/print.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

static struct spinlock clock_lock = SPINLOCK("page clock", RANK(7, 20));
static struct list clock_list = LIST_INIT(clock_list);      /* every cached page; reclaim goes round */
static uint64_t ncached, ndirty;

/* ---- waiting and locking ---- */

bool
page_trylock(struct page *p)
{
	return !(__atomic_fetch_or(&p->flags, PC_LOCKED, __ATOMIC_ACQUIRE) & PC_LOCKED);
}

void
page_wait(struct inode *ip, struct page *p, unsigned flags)
{
	if (page_has(p, flags))
		wait_event(&ip->wait, !page_has(p, flags), (void *)NULL);
}

/* Take PC_LOCKED; may sleep. ip: the inode in whose tree the caller found p, which it keeps alive. */
void
page_lock(struct inode *ip, struct page *p)
{
	while (!page_trylock(p))
		page_wait(ip, p, PC_LOCKED);
}

void
page_unlock(struct inode *ip, struct page *p)
{
	page_clear(p, PC_LOCKED);
	if (!waitq_empty(&ip->wait))
		waitq_wake_all(&ip->wait);
}

/* A read of this page ended (error 0 or -errno): zero what lies past the end of the file, make it valid, let
 * go.
 *
 * Requires: p PC_LOCKED, from read_pages. Any context.
 */
void
page_read_done(struct page *p, int error)
{
	struct inode *ip = p->owner;
	uint64_t size = __atomic_load_n(&ip->size, __ATOMIC_ACQUIRE), at = p->index << PAGE_SHIFT;

	if (!error && at < size && size - at < PAGE_SIZE)
		memset((char *)page_virt(p) + (size - at), 0, PAGE_SIZE - (size - at));
	page_set(p, error ? PC_ERROR : PC_VALID);
	page_unlock(ip, p);
	page_unref(p);
}

/* The write-back of this page ended. An error is remembered in ip->wberr for the next fsync.
 *
 * Requires: p PC_WRITEBACK, from write_pages. Any context.
 */
void
page_write_done(struct page *p, int error)
{
	struct inode *ip = p->owner;

	if (error)
		__atomic_store_n(&ip->wberr, error, __ATOMIC_RELAXED);
	struct super *sb = ip->sb;
	page_clear(p, PC_WRITEBACK);
	__atomic_sub_fetch(&ip->nwriteback, 1, __ATOMIC_ACQ_REL);
	if (!waitq_empty(&ip->wait))
		waitq_wake_all(&ip->wait);
	if (__atomic_sub_fetch(&sb->nwriteback, 1, __ATOMIC_ACQ_REL) == 0)
		waitq_wake_all(&sb->wait);
	page_unref(p);
}

/* ---- finding ---- */

struct page *
pcache_find(struct inode *ip, uint64_t index)
{
	spin_lock(&ip->cache_lock);
	struct page *p = radix_get(ip->pages, index);
	if (p)
		page_ref(p);
	spin_unlock(&ip->cache_lock);
	return p;
}

/* Up to n valid pages with consecutive numbers from index on, each referenced. Returns how many; 0: `index`
 * is not there. */
int
pcache_find_valid(struct inode *ip, uint64_t index, struct page **pages, int n)
{
	int got = 0;

	spin_lock(&ip->cache_lock);
	while (got < n) {
		struct page *p = radix_get(ip->pages, index + got);
		if (!p || !page_has(p, PC_VALID))
			break;
		page_ref(p);
		p->flags & PC_REF ? (void)0 : page_set(p, PC_REF);
		pages[got++] = p;
	}
	spin_unlock(&ip->cache_lock);
	return got;
}

uint64_t
pcache_count_dirty(struct inode *ip, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	spin_lock(&ip->cache_lock);
	for (uint64_t i = first; i <= last && radix_next_dirty(ip->pages, &i) && i <= last; i++)
		n++;
	spin_unlock(&ip->cache_lock);
	return n;
}

int
pcache_find_dirty(struct inode *ip, uint64_t *index, uint64_t last, struct page **pages, int n)
{
	int got = 0;

	spin_lock(&ip->cache_lock);
	struct page *p = radix_next_dirty(ip->pages, index);
	while (p && *index + got <= last && got < n && page_has(p, PC_DIRTY)) {
		page_ref(p);
		pages[got++] = p;
		p = radix_get(ip->pages, *index + got);
	}
	spin_unlock(&ip->cache_lock);
	return got;
}

/* ---- adding ---- */

/* Put a fresh page at index.
 *
 * Does:     allocates the page, enters it LOCKED and not valid, with a reference for the caller besides the
 *           tree's.
 * Returns:  0; -EEXIST when somebody was faster; -ENOMEM. May sleep (memory is reclaimed before the lock is
 *           taken).
 */
int
pcache_add(struct inode *ip, uint64_t index, struct page **out)
{
	struct page *p = page_alloc(PG_FILE);
	if (!p)
		return -ENOMEM;
	p->flags = PC_LOCKED;
	p->owner = ip;
	p->index = index;
	p->priv[0] = p->priv[1] = 0;
	page_ref(p);
	spin_lock(&ip->cache_lock);
	int err = radix_get(ip->pages, index) ? -EEXIST : radix_put(&ip->pages, index, p);
	if (!err) {
		ip->npages++;
		spin_lock(&clock_lock);
		list_push_back(&clock_list, &p->link);
		ncached++;
		spin_unlock(&clock_lock);
	}
	spin_unlock(&ip->cache_lock);
	if (err) {
		page_unref(p);
		page_unref(p);
		return err;
	}
	*out = p;
	return 0;
}

/* ---- dirty marks ---- */

bool
pcache_set_dirty(struct inode *ip, struct page *p)
{
	bool was_clean = false;

	if (page_has(p, PC_DIRTY))
		return false;
	spin_lock(&ip->cache_lock);
	if (p->owner == ip && !(p->flags & PC_DIRTY)) {
		page_set(p, PC_DIRTY);
		radix_mark(&ip->pages, p->index, true);
		ip->ndirty++;
		was_clean = true;
		if (!inode_is_memory(ip))
			__atomic_add_fetch(&ndirty, 1, __ATOMIC_RELAXED);
	}
	spin_unlock(&ip->cache_lock);
	return was_clean;
}

/* Requires: ip->cache_lock held, p in ip's tree. */
static bool
clear_dirty_locked(struct inode *ip, struct page *p)
{
	if (!(p->flags & PC_DIRTY))
		return false;
	page_clear(p, PC_DIRTY);
	radix_mark(&ip->pages, p->index, false);
	ip->ndirty--;
	if (!inode_is_memory(ip))
		__atomic_sub_fetch(&ndirty, 1, __ATOMIC_RELAXED);
	return true;
}

bool
pcache_clear_dirty(struct inode *ip, struct page *p)
{
	spin_lock(&ip->cache_lock);
	bool was = p->owner == ip && clear_dirty_locked(ip, p);
	spin_unlock(&ip->cache_lock);
	return was;
}

uint64_t
pcache_dirty_total(void)
{
	return __atomic_load_n(&ndirty, __ATOMIC_RELAXED);
}

uint64_t
pcache_count(void)
{
	return __atomic_load_n(&ncached, __ATOMIC_RELAXED);
}

/* ---- removing ---- */

/* Take p out of tree and clock, and drop the tree's reference. Requires: ip->cache_lock held. */
static void
remove_locked(struct inode *ip, struct page *p)
{
	clear_dirty_locked(ip, p);
	radix_del(&ip->pages, p->index);
	ip->npages--;
	p->owner = NULL;
	spin_lock(&clock_lock);
	list_remove(&p->link);
	ncached--;
	spin_unlock(&clock_lock);
	page_unref(p);
}

/* Drop a page that only the tree and the caller hold, if it is clean and idle. The caller keeps its
 * reference. Reclaim calls this with mutexes of any rank held, so it never waits for the lock. */
bool
pcache_remove_unused(struct page *p)
{
	struct inode *ip = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);
	bool gone = false;

	if (!ip || !spin_trylock(&ip->cache_lock))
		return false;
	if (p->owner == ip && page_refs(p) == 2 && !page_has(p, PC_DIRTY | PC_WRITEBACK | PC_LOCKED)) {
		remove_locked(ip, p);
		gone = true;
	}
	spin_unlock(&ip->cache_lock);
	return gone;
}

/* Remove one page that lies beyond a new end: waits for I/O on it. */
static void
remove_truncated(struct inode *ip, struct page *p)
{
	page_lock(ip, p);
	page_wait(ip, p, PC_WRITEBACK);
	spin_lock(&ip->cache_lock);
	if (p->owner == ip)
		remove_locked(ip, p);
	spin_unlock(&ip->cache_lock);
	page_unlock(ip, p);
}

static void
remove_from(struct inode *ip, uint64_t first)
{
	for (uint64_t i = first;; i++) {
		spin_lock(&ip->cache_lock);
		struct page *p = radix_next(ip->pages, &i);
		if (p)
			page_ref(p);
		spin_unlock(&ip->cache_lock);
		if (!p)
			return;
		remove_truncated(ip, p);
		page_unref(p);
	}
}

/* Forget all pages past `size`, zero the tail of the one that holds the new end if it is cached.
 *
 * Requires: ip->lock held (or the inode is going away); ip->shrink says `size`, so that no page comes back.
 * May sleep.
 * Does:     takes the pages out of mappings first: programs that touch them get SIGBUS.
 */
void
pagecache_truncate(struct inode *ip, uint64_t size)
{
	uint64_t first = (size >> PAGE_SHIFT) + !!(size & (PAGE_SIZE - 1));

	if (map_object_mapped(&ip->object))
		map_object_zap(&ip->object, first, ~0ul >> PAGE_SHIFT);
	remove_from(ip, first);
	struct page *p = size & (PAGE_SIZE - 1) ? pcache_find(ip, size >> PAGE_SHIFT) : NULL;
	if (!p)
		return;
	page_lock(ip, p);
	if (page_has(p, PC_VALID))
		memset((char *)page_virt(p) + (size & (PAGE_SIZE - 1)), 0, PAGE_SIZE - (size & (PAGE_SIZE - 1)));
	page_unlock(ip, p);
	page_unref(p);
}

void
pcache_drop_all(struct inode *ip)
{
	if (ip->npages)
		remove_from(ip, 0);
}

/* Drop what can be read again: clean, unmapped pages (fadvise DONTNEED). */
void
pagecache_drop(struct inode *ip)
{
	for (uint64_t i = 0;; i++) {
		spin_lock(&ip->cache_lock);
		struct page *p = radix_next(ip->pages, &i);
		if (p)
			page_ref(p);
		spin_unlock(&ip->cache_lock);
		if (!p)
			return;
		pcache_remove_unused(p);
		page_unref(p);
	}
}

/* Next reclaim candidates: the clock's hand goes over the list, giving pages with PC_REF a second chance
 * (unless `all`). Returns how many of pages[n] were filled, referenced. */
int
pcache_scan(struct page **pages, int n, bool all)
{
	int got = 0;

	if (!spin_trylock(&clock_lock))    /* as in pcache_remove_unused */
		return 0;
	for (int looked = 0; looked < 8 * n && got < n && !list_empty(&clock_list); looked++) {
		struct page *p = list_entry(clock_list.next, struct page, link);
		list_remove(&p->link);
		list_push_back(&clock_list, &p->link);
		if (page_has(p, PC_DIRTY | PC_WRITEBACK | PC_LOCKED) || page_refs(p) > 1)
			continue;
		if (page_has(p, PC_REF) && !all) {
			page_clear(p, PC_REF);
			continue;
		}
		page_ref(p);
		pages[got++] = p;
	}
	spin_unlock(&clock_lock);
	return got;
}
