/* efs.h - EclipseFS in memory: the mounted file system, its inodes, its metadata buffers.      (lab 8)
 *
 * Idea.       All metadata goes through a small cache of checked blocks (buf.c), file contents through the
 *             page cache of lab 7. One mutex per file system makes every change of metadata a transaction:
 *
 *                 efs_begin(fs)  ...get buffers, change them, efs_buf_dirty()...  efs_end(fs)
 *
 *             By itself a transaction is only the lock, and dirty buffers go home at the next sync. A
 *             journal (lab 9) fills struct efs_txn_ops and makes the same calls atomic on the disk; nothing
 *             here changes for it.
 * Interface.  Per file, below; contracts are above the functions.
 * Invariants. I1 a buffer in the cache passed all checks of layout.h, or was made by us.
 *             I2 fs->lock is never held while calling the VFS in a way that can come back (inode_put of the
 *             last reference); memory may be allocated: evicting an inode that has names takes no lock.
 * Locks.      fs->lock, RANK(8, 50): everything marked [f]. VFS locks (ns, ip->lock) come before it,
 *             RANK(7, *) after it.
 */
#ifndef ECLIPSEFS_EFS_H
#define ECLIPSEFS_EFS_H

#include "fs/eclipsefs/layout.h"
#include "fs/eclipsefs/v2.h"
#include "fs/vfs/vfs.h"

#define EFS_HASH     1024
#define EFS_BATCH    32		/* metadata blocks written at a time */
#define EFS_SPARES   32		/* buffers kept for transactions that find no memory */
#define EBUF_SUPER   0u		/* kinds beside EFS_MB_*: the superblock, */
#define EBUF_RAW     1u		/* and bytes of a 2.0 image, which have no head */

struct efs;

/* One metadata block. key: f fs->lock; j the journal's, under fs->lock */
struct ebuf {
	struct list hash_link;		/* [f] */
	struct list link;		/* [f] in fs->clean (least recently used first) or fs->dirty */
	uint64_t block;			/* [f] */
	uint32_t magic;			/* [f] what it is: EFS_MB_*, EBUF_* */
	uint32_t refs;			/* [f] users now; only clean ones without users are thrown out */
	bool dirty;			/* [f] differs from its home place */
	bool sealed;			/* [f] its checksum is right, nothing has changed since */
	uint8_t *data;			/* [f] EFS_BLOCK bytes */
	void *journal;			/* [j] */
	uint64_t seq;			/* [j] transaction that changed it last */
};

/* What a journal provides. All but mount are called with fs->lock held and may sleep; NULL: nothing to do.
 * mount: replay before anything but the superblock has been read; *fs->sb may change. Returns 0 or -errno.
 * begin, end: around each transaction. dirty: b is about to be written home some day; log it with this
 * transaction, and hold it back (no write home) until that is committed. freed: blocks must not be used
 * again before the transaction commits: mark them in fs->busy; metadata ones are to be revoked. commit:
 * make all ended transactions durable; returns 1 when it flushed the device's cache last, 0 when there was
 * nothing to do, or -errno. close: commit, and leave an empty log. full: the transaction under way has become
 * large: end it where that is possible and begin another. mount returns 1 when it replayed something: all counts
 * are right then. */
struct efs_txn_ops {
	int  (*mount)(struct efs *fs);
	void (*unmount)(struct efs *fs);
	int  (*begin)(struct efs *fs);
	void (*end)(struct efs *fs);
	void (*dirty)(struct efs *fs, struct ebuf *b);
	void (*freed)(struct efs *fs, uint64_t block, uint64_t len, bool metadata);
	int  (*commit)(struct efs *fs);
	int  (*close)(struct efs *fs);
	bool (*full)(struct efs *fs);
};

/* key: I immutable after mount; f lock; a atomic */
struct efs {
	struct mutex lock;
	struct super *vsb;		/* [I] */
	struct blockdev *bdev;		/* [I] */
	struct list link;		/* among what is mounted (super.c) */
	struct efs_super *sb;		/* [f] inside sbuf */
	struct ebuf *sbuf;		/* [I] */
	bool readonly;			/* [f] no changes: mounted so, or damaged */
	bool damaged;			/* [f] damage was seen: readonly until the next mount */
	uint32_t complaints;		/* [a] messages printed */

	struct list *hash;		/* [f] EFS_HASH heads */
	struct list clean, dirty;	/* [f] */
	uint32_t nclean, ndirty;	/* [f] */
	uint32_t limit;			/* [I] how many of each are plenty */
	struct efs_write *batch;	/* [f] EFS_BATCH requests */
	struct list spares;		/* [f] buffers without a block, for when memory is short */
	uint32_t nspares;		/* [f] */
	uint64_t epoch;			/* [f] how many commits there were; efs_commit() ends one */
	uint32_t inflight;		/* [a] metadata writes under way */

	uint64_t block_hint;		/* [f] where to look for free blocks */
	uint32_t ino_hint;		/* [f] no inode below is free */
	uint32_t *map_free;		/* [f] free blocks per block-map block; UINT32_MAX not counted yet */
	uint64_t **busy;		/* [f] per block-map block: free, but not to be used yet (journal), or NULL */
	uint64_t reserved;		/* [a] free blocks promised to dirty pages */
	struct list orphans;		/* [f] struct einode, as on the disk: newest first */
	uint32_t ndata;			/* [a] data writes under way, for ordering before a commit */
	bool data_written;		/* [f] some that only the running transaction makes visible */
	int data_error;			/* [a] such a write has failed: the transaction would show what the blocks held before */
	struct data_io *spare_io;	/* [I] a request for when memory is short */

	const struct efs_txn_ops *txn;	/* [I] never NULL */
	void *journal;			/* [j] */
	struct efs2_fs v2;		/* [I] of a 2.0 file system */
};

/* A run of blocks of a file that has dirty pages but no place on the disk yet. */
struct delayed { uint32_t logical, len; };

/* Names of a directory by hash: see dirindex.c. */
struct dirindex {
	struct dirslot { uint32_t hash, pos; } **chunks;	/* pos 0: empty */
	uint32_t slots, used;
};

struct dirblock {
	uint64_t block;			/* where on the disk */
	uint16_t room;			/* no free record (joined with its neighbours) is larger, as far as we know */
	uint16_t from;			/* no free record begins before this offset */
};

/* What hangs on inode->priv. key: f fs->lock; n sb->ns */
struct einode {
	struct inode *ip;		/* [I] */
	struct efs_inode di;		/* [f] as last stored; extents are always up to date; size: see efs_inode_store */
	struct efs_extent last;		/* [f] extent found last; len 0: none */
	struct delayed *delayed;	/* [f] sorted */
	uint32_t ndelayed, delayed_room;	/* [f] */
	uint64_t waiting;		/* [f] blocks in all of them */
	bool changed;			/* [f] size or extents are not stored yet: not beyond the end of a transaction */
	uint64_t stored_in;		/* [f] fs->epoch when it was stored last */
	uint64_t changed_in;		/* [f] when size or extents were: what fdatasync cares for */
	struct list orphan_link;	/* [f] in fs->orphans */
	struct dirindex *index;		/* [n] directories, once used */
	struct dirblock *blocks;	/* [n] of the directory */
	uint32_t nblocks, block_hint;	/* [n] no block before block_hint has room */
	struct efs2_info v2;		/* [I] of a 2.0 inode */
};

static inline struct efs *efs_of(const struct inode *ip) { return ip->sb->priv; }
static inline struct einode *einode_of(const struct inode *ip) { return ip->priv; }

/* What stat shows as the blocks of a file: those that wait for a place count. */
static inline void
efs_blocks_show(struct einode *ei)
{
	ei->ip->blocks = (ei->di.blocks + ei->waiting) * (EFS_BLOCK / 512);
}

/* buf.c */
int  efs_bufs_init(struct efs *fs);
void efs_bufs_free(struct efs *fs);
int  efs_buf_get(struct efs *fs, uint64_t block, uint32_t magic, uint32_t owner, struct ebuf **out);
int  efs_buf_new(struct efs *fs, uint64_t block, uint32_t magic, uint32_t owner, struct ebuf **out);
void efs_buf_put(struct efs *fs, struct ebuf *b);
void efs_buf_dirty(struct efs *fs, struct ebuf *b);
void efs_buf_forget(struct efs *fs, uint64_t block);
int  efs_bufs_write(struct efs *fs);
int  efs_spares_fill(struct efs *fs);
int  efs_damage(struct efs *fs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* txn.c */
void efs_txn_register(const struct efs_txn_ops *ops);
const struct efs_txn_ops *efs_txn_ops(void);
int  efs_begin(struct efs *fs);
void efs_end(struct efs *fs);
int  efs_restart(struct efs *fs);
bool efs_full(struct efs *fs);
int  efs_commit(struct efs *fs, bool flush);
int  efs_flush(struct efs *fs);
int  efs_commit_since(struct efs *fs, uint64_t epoch);

/* alloc.c */
int  efs_blocks_alloc(struct efs *fs, uint64_t goal, uint32_t want, bool promised, uint64_t *start,
	uint32_t *got);
int  efs_blocks_free(struct efs *fs, uint64_t start, uint64_t len, bool metadata);
int  efs_blocks_promise(struct efs *fs, uint64_t n);
void efs_blocks_unpromise(struct efs *fs, uint64_t n);
int  efs_ino_alloc(struct efs *fs, uint32_t *ino, bool *fresh);
int  efs_ino_free(struct efs *fs, uint32_t ino);
int  efs_ino_used(struct efs *fs, uint32_t ino);
int  efs_count_free(struct efs *fs);

/* extent.c */
int  efs_extent_map(struct efs *fs, struct einode *ei, uint32_t logical, uint64_t *block, uint32_t *len);
int  efs_extent_add(struct efs *fs, struct einode *ei, struct efs_extent e);
int  efs_extent_cut(struct efs *fs, struct einode *ei, uint32_t from, bool *more);

/* einode.c */
int  efs_inode_load(struct super *sb, uint32_t ino, struct inode **out);
int  efs_inode_make(struct super *sb, uint32_t mode, uint32_t rdev, struct inode **out);
void efs_inode_unmake(struct inode *ip);
int  efs_inode_store(struct efs *fs, struct inode *ip);
int  efs_inode_cut(struct efs *fs, struct inode *ip, uint32_t from);
void efs_inode_settle(struct efs *fs, struct inode *ip);
int  efs_orphan_add(struct efs *fs, struct inode *ip);
int  efs_orphan_remove(struct efs *fs, struct inode *ip);
int  efs_inode_write(struct inode *ip);
void efs_inode_evict(struct inode *ip);
void efs_inode_set_ops(const struct dir_ops *dops, const struct inode_ops *file,
	const struct inode_ops *link);

/* dirindex.c, dir.c */
struct dirindex *efs_index_new(void);
void efs_index_free(struct dirindex *x);
int  efs_index_add(struct dirindex *x, uint32_t hash, uint32_t pos);
bool efs_index_next(const struct dirindex *x, uint32_t hash, uint32_t *cursor, uint32_t *pos);
void efs_index_del(struct dirindex *x, uint32_t hash, uint32_t pos);
struct dirref { struct ebuf *b; struct efs_dirent *de; uint32_t hash, pos; };
int  efs_dir_find(struct efs *fs, struct inode *dir, const char *name, size_t len, struct dirref *out);
int  efs_dir_insert(struct efs *fs, struct inode *dir, const char *name, size_t len, struct inode *ip);
int  efs_dir_remove(struct efs *fs, struct inode *dir, struct dirref *at);
int  efs_dir_empty(struct efs *fs, struct inode *dir);
int  efs_readdir(struct inode *dir, uint64_t *pos,
	int (*emit)(void *arg, const char *name, size_t len, uint64_t ino, int dtype, uint64_t next), void *arg);

/* v2fs.c */
int  efs2_mount(struct efs *fs);

#endif
