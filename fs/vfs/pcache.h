/* pcache.h - inside the page cache: finding, locking, adding and removing cached pages.       (lab 7)
 * For file systems and files the interface is vfs.h; this one is for the cache's own files.
 *
 *   absent --pcache_add--> LOCKED --page_read_done--> VALID <--page_mark_dirty / page_write_done-->
 *   VALID|DIRTY
 *                                                       |                 |
 *              pcache_remove (truncate, reclaim) <------+                 +--pagecache_sync-->
 *              VALID|WRITEBACK
 */
#ifndef FS_VFS_PCACHE_H
#define FS_VFS_PCACHE_H

#include "fs/vfs/vfs.h"

#define PC_BATCH 64          /* most pages in one read_pages or write_pages */

static inline bool
page_has(const struct page *p, unsigned f)
{
	return __atomic_load_n(&p->flags, __ATOMIC_ACQUIRE) & f;
}

static inline void
page_set(struct page *p, unsigned f)
{
	__atomic_fetch_or(&p->flags, f, __ATOMIC_RELEASE);
}

static inline void
page_clear(struct page *p, unsigned f)
{
	__atomic_fetch_and(&p->flags, ~f, __ATOMIC_RELEASE);
}

/* Bytes of the file that may be in the cache now: its size, less while a truncate shrinks it. */
static inline uint64_t
inode_limit(const struct inode *ip)
{
	uint64_t size = __atomic_load_n(&ip->size, __ATOMIC_ACQUIRE);
	uint64_t shrink = __atomic_load_n(&ip->shrink, __ATOMIC_ACQUIRE);
	return size < shrink ? size : shrink;
}

/* Are the pages real storage themselves (ramfs)? Then written pages stay, and dirty means "in use". */
static inline bool inode_is_memory(const struct inode *ip) { return !ip->iops->write_pages; }

bool page_trylock(struct page *p);
void page_lock(struct inode *ip, struct page *p);
void page_unlock(struct inode *ip, struct page *p);
void page_wait(struct inode *ip, struct page *p, unsigned flags);       /* until none of the flags is set */

struct page *pcache_find(struct inode *ip, uint64_t index);             /* referenced or NULL */
/* consecutive valid ones from index */
int  pcache_find_valid(struct inode *ip, uint64_t index, struct page **pages, int n);
/* new, LOCKED, referenced for the caller; -EEXIST, -ENOMEM */
int  pcache_add(struct inode *ip, uint64_t index, struct page **out);
/* clean, ours the only reference: out of the cache */
bool pcache_remove_unused(struct page *p);
int  pcache_scan(struct page **pages, int n, bool all);                 /* reclaim candidates, referenced */
uint64_t pcache_count(void);                                            /* cached pages of all files */
/* Pages of [first, last] that are dirty (for ramfs: in use). */
uint64_t pcache_count_dirty(struct inode *ip, uint64_t first, uint64_t last);
/* Up to n consecutive dirty pages from *index on, referenced; *index is the first one's. 0: none up to last.
 */
int  pcache_find_dirty(struct inode *ip, uint64_t *index, uint64_t last, struct page **pages, int n);
/* true: it was clean; false also when not cached any more */
bool pcache_set_dirty(struct inode *ip, struct page *p);
bool pcache_clear_dirty(struct inode *ip, struct page *p);              /* true: it was dirty */
/* dirty pages that want write-back, all files */
uint64_t pcache_dirty_total(void);
/* the inode goes: every page, dirty or not */
void pcache_drop_all(struct inode *ip);

#endif
