/* vfs.h - what every file system fills in: supers, inodes, directories, pages.               (lab 7)
 *
 * Idea.       A file system is a struct fs_type whose mount() returns a struct super. Names are cached above
 *             it (dentry.c), file contents are cached above it (pcache.c); it is asked only when a cache
 *             does not know.
 * Interface.  fs_register; inode_get/inode_put; the ops tables below.
 * Locks.      These wrap whole operations of a file system, so they rank above every file system's own locks
 *             (this is the one exception to "no lock of an interface is held while calling through it":
 *             rename must be atomic). In this order:
 *               RANK_VFS(80) file->pos_lock   (shared offsets)
 *               RANK_VFS(70) mount_lock       (the tree of mounts)
 *               RANK_VFS(65) sb->sync_lock    (one sync at a time)
 *               RANK_VFS(60) sb->ns           changes of names in one file system, and lookups that the
 *                                             name cache cannot answer
 *               RANK_VFS(50) inode->lock      size, truncate, writes; never held by reads and faults, never
 *                                             two at once
 *             Below all of them: the file system's own locks RANK(8, *), then RANK(7, *): page cache, dentry
 *             hash, inode hash (spinlocks).
 */
#ifndef FS_VFS_VFS_H
#define FS_VFS_VFS_H

#include "kern/block/block.h"
#include "kern/proc/proc.h"
#include "kern/vm/mapping.h"
#include "lib/abi/fcntl.h"
#include "lib/abi/stat.h"
#include "lib/abi/statfs.h"

#define RANK_VFS(place) RANK(50, place)

struct inode;
struct dentry;
struct file;
struct super;
struct file_ops;
struct path;

/* ---- file systems and supers ---- */

struct fs_type {
	const char *name;          /* "eclipsefs", "tmpfs", "proc", "devtmpfs" */
	bool needs_dev;
	/* bdev referenced for the life of the super, NULL unless needs_dev. flags MS_RDONLY...; data: mount options
	 * or NULL. May sleep. */
	int (*mount)(struct fs_type *t, struct blockdev *bdev, unsigned long flags, const char *data,
		struct super **out);
	struct fs_type *next;
};
void fs_register(struct fs_type *t);

struct super_ops {
	/* metadata to the device (data was written before); then block_flush */
	int  (*sync)(struct super *sb, bool wait);
	int  (*statfs)(struct super *sb, struct statfs *st);
	/* attributes changed since the last call; called by sync/flusher, no lock held but ip is referenced */
	int  (*write_inode)(struct inode *ip);
	/* last use: nlink == 0: free blocks and inode on disk; free ip->priv. Pages are gone already */
	void (*evict)(struct inode *ip);
	int  (*remount)(struct super *sb, unsigned long flags);
	void (*unmount)(struct super *sb);                       /* after a last sync; frees sb->priv */
};

/* key: I immutable after mount; n sb->ns; l lock */
struct super {
	struct fs_type *type;      /* [I] */
	const struct super_ops *ops;
	struct blockdev *bdev;     /* [I] NULL: none */
	uint64_t dev;              /* [I] st_dev, unique, nonzero */
	unsigned long flags;       /* [a] MS_RDONLY ... */
	struct dentry *root;       /* [I] set by super_set_root */
	struct mutex ns;           /* RANK_VFS(60) */
	struct mutex sync_lock;    /* RANK_VFS(65): one sync at a time */
	uint32_t nmounts;          /* [mount_lock] */
	uint32_t inside;           /* [a] super_enter: flusher and reclaim at work in it; SUPER_LIVE */
	struct spinlock lock;      /* RANK(7, 40): lists */
	struct list inodes;   /* [l] all cached inodes */
	struct list dirty;    /* [l] inodes with dirty attributes or pages */
	uint32_t refs;             /* [a] mounts and open uses */
	uint32_t nwriteback;       /* [a] pages being written */
	struct waitq wait;         /* nwriteback or inside reached 0 */
	uint64_t max_size;         /* [I] largest file, bytes; super_new: 2^63-1 */
	bool uncached;             /* [I] names come and go by themselves (procfs): ask lookup every time */
	void *priv;                /* file system's */
	struct list link;
};
/* with dev chosen; NULL: no memory */
struct super *super_new(struct fs_type *t, const struct super_ops *ops);
/* a mount that failed, before its mount() returns the error */
void super_free(struct super *sb);
int  super_set_root(struct super *sb, struct inode *root);   /* consumes the reference; -ENOMEM */

/* ---- inodes ---- */

/* readdir's way out: one entry; next: the cookie of the entry after it. Nonzero: no room for it. */
typedef int emit_fn(void *arg, const char *name, size_t len, uint64_t ino, int dtype, uint64_t next);

/* Namespace of a directory. Called with sb->ns held; names are checked (no '/', NUL, not "."/"..";
 * 1..NAME_MAX bytes), permission and read-only checks done. They keep nlink, size, times of the inodes they
 * touch and call inode_dirty. May sleep. */
struct dir_ops {
	/* -ENOENT; *out referenced */
	int (*lookup)(struct inode *dir, const char *name, size_t len, struct inode **out);
	/* mode: type and permission; rdev for devices; target for symlinks. Makes files, directories, links, fifos,
	 * devices, sockets. */
	int (*create)(struct inode *dir, const char *name, size_t len, uint32_t mode, uint32_t rdev,
		const char *target, struct inode **out);
	int (*link)(struct inode *dir, const char *name, size_t len, struct inode *ip);
	/* also rmdir: ip is a directory; -ENOTEMPTY */
	int (*unlink)(struct inode *dir, const char *name, size_t len, struct inode *ip);
	/* Atomic. target: the inode that is replaced, or NULL; kinds and emptiness are the file system's to check
	 * (-ENOTEMPTY). flags RENAME_EXCHANGE unsupported: -EINVAL. */
	int (*rename)(struct inode *odir, const char *oname, size_t olen, struct inode *ip,
		struct inode *ndir, const char *nname, size_t nlen, struct inode *target);
	/* Emit entries from *pos on (0 first; cookies stable while others come and go) until emit returns nonzero;
	 * `.` and `..` are the VFS's (it uses *pos 0 and 1; the file system starts at 2). Called with sb->ns held.
	 * emit copies to a kernel buffer, never faults. */
	int (*readdir)(struct inode *dir, uint64_t *pos, emit_fn *emit, void *arg);
};

/* Attributes and contents. NULL members: not supported / nothing to do. */
struct inode_ops {
	long (*readlink)(struct inode *ip, char *buf, size_t n);     /* bytes (cut to n), -errno */
	/* Change size (ip->lock held): pages past the end are already gone from the cache, the tail of the last page
	 * zeroed. Sets ip->size itself. */
	int (*truncate)(struct inode *ip, uint64_t size);
	/* chmod/chown/utimes: new values already in ip; only mark. NULL: fine, inode_dirty is enough. */
	/* Pages. read_pages: n pages with consecutive index, locked, not valid: start I/O and return 0;
	 * page_read_done(page, err) for each, from any context. Pages past EOF are zeroed by the cache. write_pages:
	 * n consecutive pages under write-back: page_write_done each (both: -errno means that nothing was started,
	 * the cache finishes the pages itself; n <= 64); allocates what reserve promised. reserve: a write to [off,
	 * off+len) is about to dirty pages (ip->lock held, or a fault on a shared mapping without it): make sure
	 * write_pages cannot fail with ENOSPC (delayed allocation: count blocks) ; -ENOSPC, -EIO. */
	int (*read_pages)(struct inode *ip, struct page **pages, int n);
	int (*write_pages)(struct inode *ip, struct page **pages, int n);
	int (*reserve)(struct inode *ip, uint64_t off, uint64_t len);
	/* the cache has started to write the pages: make them (pagecache_wait), attributes and everything needed to
	 * find them durable, incl. block_flush. Whether the pages could be written, the cache says */
	int (*fsync)(struct inode *ip, bool datasync);
	/* refresh attributes before stat (procfs); NULL: ip holds them */
	int (*attr)(struct inode *ip);
	/* A symlink that leads straight to an object (/proc/PID/cwd, fd/N): *out referenced. NULL: go by readlink's
	 * text. */
	int (*follow)(struct inode *ip, struct path *out);
};

enum { I_DIRTY = 1, I_NEW = 2, I_FREEING = 4, I_DIRTY_PAGES = 8 };

/* key: I immutable after inode_unlock_new; a atomic; n sb->ns; l ip->lock; c cache_lock */
struct inode {
	struct map_object object;  /* pages of this file can be mapped; first, so that container_of is free */
	struct super *sb;          /* [I] */
	uint64_t ino;              /* [I] unique within sb, nonzero */
	uint32_t refs;             /* [a] */
	uint32_t mode;             /* [a] type never changes */
	uint32_t nlink;            /* [n] */
	uint32_t uid, gid;         /* [a] */
	uint32_t rdev;             /* [I] Linux dev_t, devices */
	uint32_t flags;            /* [a] I_* */
	uint64_t size;             /* [l] writers; readers may load it atomically */
	uint64_t blocks;           /* [a] 512-byte units allocated */
	int64_t atime, mtime, ctime;   /* [a] ns since 1970 */
	const struct dir_ops *dops;    /* [I] directories */
	const struct inode_ops *iops;  /* [I] never NULL */
	/* [I] how opened files behave; NULL: by type (regular files, directories, devices, fifos) */
	const struct file_ops *fops;

	struct mutex lock;         /* RANK_VFS(50) */
	struct spinlock cache_lock;    /* RANK(7, 30): the pages below */
	void *pages;               /* [c] radix tree: index -> struct page */
	/* [a] while a truncate is under way: pages from this byte on are refused; else ~0 */
	uint64_t shrink;
	uint64_t npages;           /* [c] */
	uint64_t ndirty;           /* [c] */
	uint32_t nwriteback;       /* [a] pages being written */
	int wberr;                 /* [a] a write-back failed since the last fsync */
	/* [a] > 0: open for writing so often; < 0: so many programs run from it. Never both */
	int32_t writers;
	struct waitq wait;         /* page unlock, write-back end */

	struct list hash_link, sb_link, dirty_link, lru_link;
	void *priv;                /* file system's */
};

static inline struct inode *
inode_of_object(struct map_object *o)
{
	return container_of(o, struct inode, object);
}


/* The cached inode (sb, ino), referenced. When it is not cached: a fresh one, flags & I_NEW, locked against
 * others until the caller has filled it and called inode_unlock_new (or inode_fail_new). -ENOMEM. */
int  inode_get(struct super *sb, uint64_t ino, struct inode **out);
void inode_unlock_new(struct inode *ip);
void inode_fail_new(struct inode *ip);
struct inode *inode_ref(struct inode *ip);
void inode_put(struct inode *ip);                /* may sleep (evict) */
void inode_dirty(struct inode *ip);              /* attributes changed; any lock context */
/* set times to now: INODE_ATIME|MTIME|CTIME, and inode_dirty */
void inode_touch(struct inode *ip, int what);
enum { INODE_ATIME = 1, INODE_MTIME = 2, INODE_CTIME = 4 };
/* Writing and executing exclude each other: 0 or -ETXTBSY. delta +1: a writer begins, -1: a program begins to
 * run. Undo: inode_unclaim. */
int  inode_claim(struct inode *ip, int delta);
static inline void
inode_unclaim(struct inode *ip, int delta)
{
	__atomic_sub_fetch(&ip->writers, delta, __ATOMIC_RELEASE);
}

/* ---- page cache (pcache.c): one cache of file pages for read, write, mmap, exec ---- */

/* page->flags of a cached page; page->owner = inode, page->index = number in the file. page->priv[0..1] are
 * the file system's (physical block hints). */
enum { PC_VALID = 1, PC_DIRTY = 2, PC_LOCKED = 4, PC_WRITEBACK = 8, PC_ERROR = 16, PC_REF = 32,
	PC_NEW_BLOCK = 64 };

void page_read_done(struct page *p, int error);  /* any context */
void page_write_done(struct page *p, int error);
/* Referenced page `index` with valid contents: reads (with read-ahead). -EIO, -ENOMEM, -ERANGE past the end
 * of the file. */
int  pagecache_get(struct inode *ip, uint64_t index, struct page **out);
/* Kernel-side read: bytes or -errno (exec, symlinks). */
long pagecache_read(struct inode *ip, uint64_t off, void *buf, size_t n);
/* write dirty pages; reports and clears wberr when waiting */
int  pagecache_sync(struct inode *ip, uint64_t first, uint64_t last, bool wait);
/* until no page of ip is being written */
static inline void
pagecache_wait(struct inode *ip)
{
	if (__atomic_load_n(&ip->nwriteback, __ATOMIC_ACQUIRE))
		wait_event(&ip->wait, !__atomic_load_n(&ip->nwriteback, __ATOMIC_ACQUIRE), (void *)NULL);
}
/* drop pages past size (also from mappings), zero the tail of the last */
void pagecache_truncate(struct inode *ip, uint64_t size);
void pagecache_drop(struct inode *ip);           /* fadvise DONTNEED, O_DIRECT: clean unmapped pages */
/* read/write/mmap/fsync of regular files through the cache */
extern const struct file_ops pagecache_file_ops;
extern const struct map_ops inode_map_ops;

/* ---- mounting, from the kernel ---- */
/* lab 7: ramfs with the boot archive's tree; tries the root disk with every needs_dev type first */
int  vfs_mount_root(void);
int  vfs_mount(const char *src, const char *path, const char *type, unsigned long flags, const char *data);
int  vfs_sync_all(bool wait);

#endif
