/* inode.c - the inode cache: one struct inode for each file in use, dirty lists, eviction.    (lab 7)
 *
 * Idea.       (sb, ino) names a file; a hash makes sure that it has at most one struct inode.
 *
 *               inode_get            inode_unlock_new               last inode_put, nlink > 0
 *             -----------> I_NEW ------------------> in use <------------------------------> unused (LRU)
 *                            | inode_fail_new           | last inode_put, nlink == 0            |
 *                            inode_prune, unmount
 *                            `------> I_BAD             `-------------> I_FREEING <-------------'   -> evict
 *                            -> pool
 *
 * Interface.  vfs.h: inode_get, inode_put, inode_dirty, inode_touch; inode.h for the flusher, reclaim and
 *             unmount.
 * Invariants. I1 refs 0 <=> on the LRU list or I_FREEING.  I2 an inode with I_DIRTY or I_DIRTY_PAGES set is
 * on sb->dirty or
 *             the flusher has just popped it and will clear the flag before it looks.  I3 memory is a pool's
 *             (pool.h): readers without a lock may look at a freed inode; its wait queue and locks are never
 *             initialised again.
 * Locks.      sb->lock, then inode_lock RANK(7, 35): hash, LRU, refs from and to 0.
 */
#include "fs/vfs/inode.h"

#include "fs/vfs/pcache.h"
#include "fs/vfs/pool.h"
#include "fs/vfs/super.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/string.h"

#define NHASH 2048

static struct spinlock inode_lock = SPINLOCK("inodes", RANK(7, 35));
static struct list hash[NHASH];
static struct list unused = LIST_INIT(unused);    /* least recently used first */
static uint64_t nunused, ninodes;
static const struct map_ops *object_ops;
static const struct inode_ops no_ops;
static bool kick;
struct waitq inode_dirty_wait = WAITQ(inode_dirty_wait);

static void
inode_ctor(void *obj)
{
	struct inode *ip = obj;

	ip->iops = &no_ops;
	mutex_init(&ip->lock, "inode", RANK_VFS(50));
	spin_init(&ip->cache_lock, "page cache", RANK(7, 30));
	waitq_init(&ip->wait);
	list_init(&ip->hash_link);
	list_init(&ip->sb_link);
	list_init(&ip->dirty_link);
	list_init(&ip->lru_link);
}

static struct pool inode_pool = POOL("inode pool", sizeof(struct inode), inode_ctor);

void
inode_set_map_ops(const struct map_ops *ops)
{
	object_ops = ops;
}

uint64_t
inode_count(void)
{
	return __atomic_load_n(&ninodes, __ATOMIC_RELAXED);
}

static struct list *
hash_of(struct super *sb, uint64_t ino)
{
	uint64_t h = (ino ^ sb->dev << 20) * 0x9e3779b97f4a7c15ul;
	return &hash[h >> 53];
}

/* ---- getting ---- */

/* Requires: inode_lock held. */
static struct inode *
find_locked(struct super *sb, uint64_t ino)
{
	list_for_each(ip, hash_of(sb, ino), struct inode, hash_link)
		if (ip->ino == ino && ip->sb == sb)
			return ip;
	return NULL;
}

/* One more reference; takes it off the LRU list. Requires: inode_lock held. */
static void
ref_locked(struct inode *ip)
{
	if (__atomic_fetch_add(&ip->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		list_remove(&ip->lru_link);
		nunused--;
	}
}

/* Everything that a new file starts with; locks and queues are the constructor's. */
static void
inode_reset(struct inode *ip, struct super *sb, uint64_t ino)
{
	map_object_init(&ip->object, object_ops);
	ip->sb = sb;
	ip->ino = ino;
	ip->refs = 1;
	ip->mode = ip->nlink = ip->uid = ip->gid = ip->rdev = 0;
	ip->flags = I_NEW;
	ip->size = ip->blocks = 0;
	ip->atime = ip->mtime = ip->ctime = 0;
	ip->dops = NULL;
	ip->iops = &no_ops;
	ip->fops = NULL;
	ip->pages = NULL;
	ip->shrink = ~0ul;
	ip->npages = ip->ndirty = 0;
	ip->nwriteback = 0;
	ip->wberr = 0;
	ip->priv = NULL;
}

/* Somebody else's inode, maybe still being filled. Returns 0 or -EAGAIN: it came to nothing, try again. */
static int
wait_filled(struct inode *ip)
{
	if (__atomic_load_n(&ip->flags, __ATOMIC_ACQUIRE) & I_NEW)
		wait_event(&ip->wait, !(__atomic_load_n(&ip->flags, __ATOMIC_ACQUIRE) & I_NEW), (void *)NULL);
	if (!(ip->flags & I_BAD))
		return 0;
	inode_put(ip);
	return -EAGAIN;
}

/* See vfs.h. May sleep. Returns 0 or -ENOMEM. */
int
inode_get(struct super *sb, uint64_t ino, struct inode **out)
{
	for (;;) {
		spin_lock(&inode_lock);
		struct inode *ip = find_locked(sb, ino);
		if (ip)
			ref_locked(ip);
		spin_unlock(&inode_lock);
		if (ip && wait_filled(ip) < 0)
			continue;
		*out = ip;
		if (ip)
			return 0;

		struct inode *fresh = pool_alloc(&inode_pool);
		if (!fresh)
			return -ENOMEM;
		inode_reset(fresh, sb, ino);
		spin_lock(&sb->lock);
		spin_lock(&inode_lock);
		ip = find_locked(sb, ino);
		if (!ip) {
			list_push_front(hash_of(sb, ino), &fresh->hash_link);
			list_push_back(&sb->inodes, &fresh->sb_link);
			ninodes++;
		}
		spin_unlock(&inode_lock);
		spin_unlock(&sb->lock);
		if (!ip) {
			*out = fresh;
			return 0;
		}
		pool_free(&inode_pool, fresh);
	}
}

/* The caller of inode_get has filled the new inode: let others see it. */
void
inode_unlock_new(struct inode *ip)
{
	__atomic_fetch_and(&ip->flags, ~(uint32_t)I_NEW, __ATOMIC_RELEASE);
	waitq_wake_all(&ip->wait);
}

/* It could not be filled: gone, together with the caller's reference. */
void
inode_fail_new(struct inode *ip)
{
	spin_lock(&inode_lock);
	list_remove(&ip->hash_link);
	spin_unlock(&inode_lock);
	__atomic_fetch_or(&ip->flags, I_BAD, __ATOMIC_RELEASE);
	ip->nlink = 0;
	inode_unlock_new(ip);
	inode_put(ip);
}

struct inode *
inode_ref(struct inode *ip)
{
	__atomic_add_fetch(&ip->refs, 1, __ATOMIC_RELAXED);
	return ip;
}

bool
inode_try_ref(struct inode *ip)
{
	spin_lock(&inode_lock);
	bool ok = !(ip->flags & I_FREEING);
	if (ok)
		ref_locked(ip);
	spin_unlock(&inode_lock);
	return ok;
}

/* ---- letting go ---- */

/* Free an inode that I_FREEING keeps others away from. May sleep. */
static void
inode_destroy(struct inode *ip)
{
	struct super *sb = ip->sb;

	__atomic_store_n(&ip->shrink, 0, __ATOMIC_RELEASE);
	pcache_drop_all(ip);
	spin_lock(&sb->lock);
	list_remove(&ip->dirty_link);
	spin_unlock(&sb->lock);
	if (!(ip->flags & I_BAD) && sb->ops->evict)
		sb->ops->evict(ip);
	spin_lock(&sb->lock);
	list_remove(&ip->dirty_link);      /* evict may have marked it once more */
	list_remove(&ip->sb_link);
	spin_unlock(&sb->lock);
	ip->dops = NULL;
	pool_free(&inode_pool, ip);
}

/* Take an inode without references out of the hash. Requires: inode_lock held. */
static void
free_locked(struct inode *ip)
{
	__atomic_fetch_or(&ip->flags, I_FREEING, __ATOMIC_RELEASE);
	list_remove(&ip->hash_link);
	ninodes--;
}

void
inode_put(struct inode *ip)
{
	uint32_t refs = __atomic_load_n(&ip->refs, __ATOMIC_RELAXED);

	while (refs > 1)
		if (__atomic_compare_exchange_n(&ip->refs, &refs, refs - 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return;
	spin_lock(&inode_lock);
	bool last = __atomic_sub_fetch(&ip->refs, 1, __ATOMIC_ACQ_REL) == 0;
	bool dead = last && (ip->sb->uncached || !__atomic_load_n(&ip->nlink, __ATOMIC_RELAXED));
	if (dead) {
		free_locked(ip);
	} else if (last) {
		list_push_back(&unused, &ip->lru_link);
		nunused++;
	}
	bool many = nunused > page_count_total() / 4 && !current()->nmutex;    /* not from inside a file system */
	spin_unlock(&inode_lock);
	if (dead)
		inode_destroy(ip);
	if (many)
		inode_prune(16);
}

/* Up to n unused inodes with nothing to write are freed, least recently used first. May sleep (evict). */
int
inode_prune(int n)
{
	int done = 0;

	for (int looked = 0; looked < 4 * n && done < n; looked++) {
		spin_lock(&inode_lock);
		struct inode *ip = list_first(&unused, struct inode, lru_link);
		bool clean = ip && !(ip->flags & (I_DIRTY | I_DIRTY_PAGES)) && !ip->ndirty &&
			super_enter(ip->sb);
		struct super *sb = ip ? ip->sb : NULL;
		if (ip) {
			list_remove(&ip->lru_link);
			if (clean) {
				nunused--;
				free_locked(ip);
			} else {
				list_push_back(&unused, &ip->lru_link);
			}
		}
		spin_unlock(&inode_lock);
		if (!ip)
			break;
		if (clean) {
			inode_destroy(ip);
			super_leave(sb);
			done++;
		}
	}
	return done;
}

/* Free all unused inodes of a file system that is being unmounted, after its last sync; those that somebody
 * still holds (there are none unless something failed) are left. May sleep. */
void
inode_evict_super(struct super *sb)
{
	for (;;) {
		struct inode *victim = NULL;
		spin_lock(&sb->lock);
		spin_lock(&inode_lock);
		list_for_each(ip, &sb->inodes, struct inode, sb_link)
			if (!ip->refs && !(ip->flags & I_FREEING)) {
				victim = ip;
				list_remove(&ip->lru_link);
				nunused--;
				free_locked(ip);
				break;
			}
		spin_unlock(&inode_lock);
		spin_unlock(&sb->lock);
		if (!victim)
			return;
		inode_destroy(victim);
	}
}

/* ---- dirty ---- */

/* Put ip on its super's dirty list with this flag set, and let the flusher know. */
static void
mark(struct inode *ip, uint32_t flag)
{
	if (__atomic_load_n(&ip->flags, __ATOMIC_ACQUIRE) & flag)
		return;
	spin_lock(&ip->sb->lock);
	__atomic_fetch_or(&ip->flags, flag, __ATOMIC_ACQ_REL);
	if (list_empty(&ip->dirty_link))
		list_push_back(&ip->sb->dirty, &ip->dirty_link);
	spin_unlock(&ip->sb->lock);
	if (!__atomic_exchange_n(&kick, true, __ATOMIC_ACQ_REL))
		waitq_wake_all(&inode_dirty_wait);
}

void
inode_dirty(struct inode *ip)
{
	if (ip->sb->ops->write_inode)
		mark(ip, I_DIRTY);
}

void
inode_dirty_pages(struct inode *ip)
{
	mark(ip, I_DIRTY_PAGES);
}

bool
inode_kick_pending(void)
{
	return __atomic_load_n(&kick, __ATOMIC_ACQUIRE);
}

/* Move the dirty list to the caller's head, whose inodes are then taken one by one with inode_pop. */
void
inode_splice_dirty(struct super *sb, struct list *to)
{
	spin_lock(&sb->lock);
	__atomic_store_n(&kick, false, __ATOMIC_RELEASE);
	list_splice_back(to, &sb->dirty);
	spin_unlock(&sb->lock);
}

/* First inode of the list, taken off it and referenced; skips those that are being freed. NULL: the list is
 * empty. */
struct inode *
inode_pop(struct super *sb, struct list *from)
{
	struct inode *found = NULL;

	spin_lock(&sb->lock);
	while (!found && !list_empty(from)) {
		struct inode *ip = list_entry(list_pop_front(from), struct inode, dirty_link);
		if (inode_try_ref(ip))
			found = ip;
	}
	spin_unlock(&sb->lock);
	return found;
}

/* Claim the file for one more writer (delta +1) or running program (-1). Returns: 0; -ETXTBSY: the other kind
 * has it. */
int
inode_claim(struct inode *ip, int delta)
{
	int32_t n = __atomic_load_n(&ip->writers, __ATOMIC_RELAXED);

	do
		if (delta > 0 ? n < 0 : n > 0)
			return -ETXTBSY;
	while (!__atomic_compare_exchange_n(&ip->writers, &n, n + delta, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return 0;
}

/* Set the chosen times to now and mark the inode. Nothing on read-only file systems. */
void
inode_touch(struct inode *ip, int what)
{
	int64_t now;

	if (ip->sb->flags & MS_RDONLY)
		return;
	now = clock_wall_ns();
	if (what & INODE_ATIME)
		ip->atime = now;
	if (what & INODE_MTIME)
		ip->mtime = now;
	if (what & INODE_CTIME)
		ip->ctime = now;
	inode_dirty(ip);
}

static void
inode_init(void)
{
	for (int i = 0; i < NHASH; i++)
		list_init(&hash[i]);
}
INITCALL(7, inode_init);
