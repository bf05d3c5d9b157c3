/* regular.c - regular files: read, write, seek, map, fsync through the page cache.            (lab 7)
 *
 * Idea.       pageread.c and pagewrite.c do the work; here are the rules around it: O_APPEND, O_SYNC, access
 *             times, set-id bits, and the same pages offered to mappings, so that a store and a write(2) meet
 *             in one page.
 * Interface.  pagecache_file_ops, inode_map_ops (vfs.h); regular_seek.
 * Invariants. I1 writes to one file are atomic against each other and truncate; reads and faults are not.
 * Locks.      ip->lock for writes and truncate.
 */
#include "fs/vfs/regular.h"

#include "fs/vfs/inode.h"
#include "fs/vfs/namei.h"
#include "fs/vfs/openops.h"
#include "fs/vfs/pageread.h"
#include "fs/vfs/pagewrite.h"
#include "fs/vfs/pcache.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/initcall.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/abi/mount.h"

/* relatime: the access time only moves when it is not newer than the last change, so most reads dirty
 * nothing. */
void
file_accessed(struct file *f)
{
	struct inode *ip = f->inode;

	if (ip->atime > ip->mtime && ip->atime > ip->ctime)
		return;
	if (f->flags & O_NOATIME || (f->path.mnt && (path_readonly(&f->path) || f->path.mnt->flags & MS_NOATIME)))
		return;
	inode_touch(ip, INODE_ATIME);
}

static long
regular_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	long r = pagecache_read_user(f->inode, f, ubuf, n, pos);
	if (r > 0)
		file_accessed(f);
	return r;
}

/* A write by anyone but root takes set-user-id and set-group-id away. Requires: ip->lock. */
static void
drop_setid(struct inode *ip)
{
	uint32_t kill = S_ISUID | (ip->mode & S_IXGRP ? S_ISGID : 0);

	if (ip->mode & kill && !cred_is_root()) {
		ip->mode &= ~kill;
		inode_dirty(ip);
	}
}

/* The offset moves only with bytes written: an append of nothing, or one that fails, leaves it where it was. */
static long
regular_write(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct inode *ip = f->inode;

	if (f->path.mnt && path_readonly(&f->path))
		return -EROFS;
	if (!n)
		return 0;
	mutex_lock(&ip->lock);
	uint64_t at = f->flags & O_APPEND ? ip->size : *pos;
	drop_setid(ip);
	long r = pagecache_write_user(ip, ubuf, n, &at);
	if (r > 0)
		*pos = at;
	mutex_unlock(&ip->lock);
	if (r > 0 && f->flags & (O_SYNC | O_DSYNC)) {
		int err = inode_sync(ip, (f->flags & O_SYNC) != O_SYNC);
		if (err)
			return err;
	}
	return r;
}

static int
regular_fsync(struct file *f, bool datasync)
{
	return inode_sync(f->inode, datasync);
}

static struct map_object *
regular_map(struct file *f, int prot, int flags, int *err)
{
	(void)prot, (void)flags;
	*err = 0;
	inode_ref(f->inode);
	file_accessed(f);
	return &f->inode->object;
}

/* lseek on something with a size. SEEK_DATA and SEEK_HOLE see one piece of data and the hole at the end. */
long
seek_in(struct file *f, int64_t off, int whence, uint64_t size)
{
	int64_t base = 0;

	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		base = size;
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		if (off < 0 || (uint64_t)off >= size)
			return -ENXIO;
		if (whence == SEEK_HOLE)
			off = size;
		break;
	default:
		return -EINVAL;
	}
	if (off > 0 ? base > INT64_MAX - off : base + off < 0)
		return -EINVAL;
	f->pos = base + off;
	return f->pos;
}

static long
regular_seek(struct file *f, int64_t off, int whence)
{
	return seek_in(f, off, whence, f->inode->size);
}

const struct file_ops pagecache_file_ops = {
	.read = regular_read,
	.write = regular_write,
	.fsync = regular_fsync,
	.map = regular_map,
	.seek = regular_seek,
};

/* ---- mapped pages ---- */

static int
inode_get_page(struct map_object *o, uint64_t index, bool write, struct page **out)
{
	struct inode *ip = inode_of_object(o);
	int err = pagecache_get(ip, index, out);

	if (!err && write) {
		err = ip->sb->flags & MS_RDONLY ? -EROFS : pagecache_make_writable(ip, *out);
		if (err)
			page_unref(*out);
	}
	return err;
}

/* msync: durable when it returns, as after fdatasync. */
static int
inode_map_sync(struct map_object *o, uint64_t first, uint64_t last)
{
	int err = pagecache_sync(inode_of_object(o), first, last, true);

	return err ? err : inode_sync(inode_of_object(o), true);
}

static void
inode_map_ref(struct map_object *o)
{
	inode_ref(inode_of_object(o));
}

static void
inode_map_unref(struct map_object *o)
{
	inode_put(inode_of_object(o));
}

static int
inode_map_peek(struct map_object *o, uint64_t index, struct page **pages, int n)
{
	struct inode *ip = inode_of_object(o);
	uint64_t limit = inode_limit(ip), end = (limit >> PAGE_SHIFT) + !!(limit & (PAGE_SIZE - 1));
	uint64_t most = index < end ? end - index : 0;
	int got = pcache_find_valid(ip, index, pages, most < (uint64_t)n ? (int)most : n);

	for (int i = got; i < n; i++)
		pages[i] = NULL;
	return got;
}

static void
inode_map_ids(struct map_object *o, uint64_t *dev, uint64_t *ino)
{
	struct inode *ip = inode_of_object(o);
	*dev = ip->sb->dev;
	*ino = ip->ino;
}

const struct map_ops inode_map_ops = {
	.get_page = inode_get_page,
	.ref = inode_map_ref,
	.unref = inode_map_unref,
	.peek = inode_map_peek,
	.sync = inode_map_sync,
	.ids = inode_map_ids,
};

static void
regular_init(void)
{
	inode_set_map_ops(&inode_map_ops);
}
INITCALL(7, regular_init);
