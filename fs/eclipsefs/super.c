/* super.c - mounting, syncing and unmounting EclipseFS.                                        (lab 8)
 *
 * Idea.       The version in the first block decides: 2.0 goes to v2fs.c, 3.0 is ours. While mounted for
 *             writing, the superblock on the disk lacks EFS_CLEAN, so that a later mount (or fsck) knows
 *             when nobody unmounted it.
 *
 *             mount: superblock -> journal -> count, if not clean -> root -> mark in use -> free orphans
 *
 * Interface.  Registers the file-system type "eclipsefs".
 * Invariants. I1 a file system that is damaged, wants a journal we do not have, or lies on a read-only disk
 *             is read-only.
 * Locks.      mounted_lock, RANK(8, 60), for the list of what is mounted; fs->lock, taken here for the
 *             parts that change buffers; a mount that is not finished is ours alone.
 */
#include "fs/eclipsefs/data.h"

#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/string.h"

#define SECTORS_PER_BLOCK (EFS_BLOCK / SECTOR_SIZE)
#define STATFS_MAGIC EFS_FOURCC('E', 'C', 'L', 'P')

static struct mutex mounted_lock = MUTEX(mounted_lock, "eclipsefs mounts", RANK(8, 60));
static struct list mounted = LIST_INIT(mounted);
static const struct efs_txn_ops none;

/* ---- the superblock ---- */

/* Note in the superblock that it is (not) in use, and make that durable. Returns 0 or -EIO. */
static int
super_mark(struct efs *fs, bool in_use)
{
	struct efs_super *sb = fs->sb;
	int err = efs_begin(fs);

	if (err)
		return err;
	sb->write_time = clock_wall_ns() / NSEC;
	if (in_use) {
		sb->state &= ~(uint32_t)EFS_CLEAN;
		sb->mounts++;
		sb->mount_time = sb->write_time;
	} else {
		sb->state |= EFS_CLEAN;
	}
	efs_buf_dirty(fs, fs->sbuf);
	efs_end(fs);
	return efs_commit(fs, true);
}

/* Write the copy of the superblock. */
static void
backup_write(struct efs *fs)
{
	uint8_t *copy = kmalloc(EFS_BLOCK);

	if (!copy)
		return;
	memcpy(copy, fs->sb, EFS_BLOCK);
	efs_super_seal((struct efs_super *)copy);
	block_rw(fs->bdev, BIO_WRITE, EFS_BACKUP_BLOCK * SECTORS_PER_BLOCK, copy, SECTORS_PER_BLOCK);
	kfree(copy);
}

/* ---- mounting ---- */

static void
efs_free(struct efs *fs)
{
	if (fs->txn->unmount)
		fs->txn->unmount(fs);
	for (uint64_t k = 0; fs->busy && k < fs->sb->bmap_blocks; k++)
		kfree(fs->busy[k]);
	if (fs->hash)
		efs_bufs_free(fs);
	kfree(fs->spare_io);
	kfree(fs->map_free);
	kfree(fs->busy);
	kfree(fs);
}

/* Why a 3.0 file system can only be read, or NULL. */
static const char *
readonly_why(struct efs *fs)
{
	if (fs->bdev->readonly)
		return "the disk is read-only";
	if (fs->sb->rocompat & ~EFS_ROCOMPAT_KNOWN)
		return "made by a newer version";
	if (fs->sb->state & EFS_ERRORS)
		return "damage was seen earlier, fsck it";
	return NULL;
}

/* See to the journal: replay is the journal's own work, if there is one; without, a log that is not empty
 * must wait. Returns 0; 1: replayed, all counts are right; -errno. */
static int
journal_mount(struct efs *fs)
{
	const struct efs_txn_ops *ops = efs_txn_ops();
	struct ebuf *b;

	if (!fs->sb->journal_blocks)
		return 0;
	if (ops->mount) {
		fs->txn = ops;
		int err = ops->mount(fs);
		if (err >= 0 || !fs->damaged)
			return err;
		fs->txn = &none;		/* what can be read can be saved: go on, read-only */
		return 0;
	}
	int err = efs_buf_get(fs, fs->sb->journal_start, EFS_MB_JSUPER, 0, &b);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (((struct efs_jsuper *)b->data)->start != 0 && !fs->readonly) {
		klog(LOG_WARN, "eclipsefs %s: the journal has to be replayed: read-only\n", fs->bdev->name);
		fs->readonly = true;
	}
	efs_buf_put(fs, b);
	return 0;
}

/* Free what was unlinked while open when the machine stopped. Each one that is freed leaves the list. */
static void
orphans_free(struct super *vsb)
{
	struct efs *fs = vsb->priv;
	struct inode *ip;

	while (fs->sb->orphans && !fs->readonly) {
		uint32_t ino = fs->sb->orphans;
		if (efs_inode_load(vsb, ino, &ip))
			return;
		mutex_lock(&fs->lock);
		if (ip->nlink > 0)
			efs_damage(fs, "inode %u is on the orphan list, but has names", ino);
		else
			list_push_front(&fs->orphans, &einode_of(ip)->orphan_link);
		mutex_unlock(&fs->lock);
		inode_put(ip);
		if (fs->sb->orphans == ino)
			return;
	}
}

/* The parts of a 3.0 mount that read metadata. */
static int
metadata_mount(struct efs *fs)
{
	uint64_t maps = fs->sb->bmap_blocks;

	fs->map_free = kmalloc(maps * sizeof(*fs->map_free));
	fs->busy = kzalloc(maps * sizeof(*fs->busy));
	if (!fs->map_free || !fs->busy)
		return -ENOMEM;
	memset(fs->map_free, 0xff, maps * sizeof(*fs->map_free));
	fs->block_hint = fs->sb->data_start;
	fs->ino_hint = 1;
	mutex_lock(&fs->lock);
	int err = journal_mount(fs);
	if (!err && !(fs->sb->state & EFS_CLEAN) && !fs->readonly) {
		klog(LOG_INFO, "eclipsefs %s: was not unmounted%s\n", fs->bdev->name, fs->txn->commit ? "" : ", and has no journal");
		err = efs_count_free(fs);
	}
	mutex_unlock(&fs->lock);
	return err < 0 ? err : 0;
}

/* Mount a 3.0 file system. Returns 0, -EINVAL (said why), -EIO, -ENOMEM. */
static int
v3_mount(struct efs *fs)
{
	struct super *vsb = fs->vsb;
	struct inode *root;
	const char *wrong = efs_super_check(fs->sb, fs->bdev->nsectors / SECTORS_PER_BLOCK);

	if (wrong) {
		klog(LOG_ERR, "eclipsefs %s: superblock: %s\n", fs->bdev->name, wrong);
		return -EINVAL;
	}
	const char *why = readonly_why(fs);
	if (why && !(vsb->flags & MS_RDONLY))
		klog(LOG_WARN, "eclipsefs %s: read-only: %s\n", fs->bdev->name, why);
	fs->readonly = why || vsb->flags & MS_RDONLY;
	vsb->max_size = EFS_MAX_SIZE;
	int err = metadata_mount(fs);
	if (!err)
		err = efs_inode_load(vsb, EFS_ROOT_INO, &root);
	if (err)
		return err;
	if (!S_ISDIR(root->mode) || root->nlink == 0) {
		klog(LOG_ERR, "eclipsefs %s: the root is not a directory\n", fs->bdev->name);
		root->nlink += root->nlink == 0;
		inode_put(root);
		return -EINVAL;
	}
	err = super_set_root(vsb, root);
	if (!err && !fs->readonly)
		err = super_mark(fs, true);
	if (fs->readonly)
		vsb->flags |= MS_RDONLY;
	if (!err)
		orphans_free(vsb);
	return err;
}

/* Read the first block and decide. */
static int
version_mount(struct efs *fs)
{
	mutex_lock(&fs->lock);
	int err = efs_buf_get(fs, EFS_SUPER_BLOCK, EBUF_SUPER, 0, &fs->sbuf);
	mutex_unlock(&fs->lock);
	if (err)
		return err;
	fs->sb = (struct efs_super *)fs->sbuf->data;
	if (memcmp(fs->sb->h.magic, EFS_MAGIC, EFS_MAGIC_LEN) != 0)
		return -EINVAL;
	uint32_t version = fs->sb->h.version;
	if (version == EFS_VERSION_3)
		return v3_mount(fs);
	if (version != EFS_VERSION_2) {
		klog(LOG_ERR, "eclipsefs %s: version %u.%u (%#x) is not known, only 2.0 and 3.0\n", fs->bdev->name,
			version >> 16, version & 0xffff, version);
		return -EINVAL;
	}
	/* v2.c reads the first block as bytes. */
	mutex_lock(&fs->lock);
	fs->sbuf->magic = EBUF_RAW;
	mutex_unlock(&fs->lock);
	return efs2_mount(fs);
}

static struct efs *
efs_new(struct super *vsb, struct blockdev *bdev)
{
	struct efs *fs = kzalloc(sizeof(*fs));

	if (!fs)
		return NULL;
	mutex_init(&fs->lock, "eclipsefs", RANK(8, 50));
	list_init(&fs->orphans);
	list_init(&fs->link);
	fs->vsb = vsb;
	fs->bdev = bdev;
	fs->txn = &none;
	fs->epoch = 1;
	if (efs_bufs_init(fs) == 0 && efs_data_init(fs) == 0)
		return fs;
	efs_free(fs);
	return NULL;
}

/* ---- super_ops ---- */

static int
super_sync_op(struct super *vsb, bool wait)
{
	struct efs *fs = vsb->priv;

	if (!fs->ndirty && !fs->txn->commit)
		return wait && !fs->readonly ? efs_flush(fs) : 0;
	return efs_commit(fs, wait);
}

static int
super_statfs(struct super *vsb, struct statfs *st)
{
	struct efs *fs = vsb->priv;
	const struct efs_super *sb = fs->sb;

	st->f_type = STATFS_MAGIC;
	st->f_bsize = st->f_frsize = EFS_BLOCK;
	st->f_namelen = EFS_NAME_MAX;
	if (fs->map_free) {
		uint64_t reserved = __atomic_load_n(&fs->reserved, __ATOMIC_RELAXED);
		st->f_blocks = sb->blocks - sb->data_start;
		st->f_bfree = sb->free_blocks > reserved ? sb->free_blocks - reserved : 0;
		st->f_bavail = st->f_bfree;
		st->f_files = sb->h.total_inodes;
		st->f_ffree = sb->free_inodes;
		st->f_fsid[0] = sb->fsid;
	} else {
		st->f_blocks = fs->bdev->nsectors / SECTORS_PER_BLOCK;
		st->f_files = fs->v2.inodes;
	}
	return 0;
}

/* No changes from now on: the superblock says clean, its copy too, everything is home. Returns 0 or -errno: still writable. */
static int
changes_end(struct efs *fs)
{
	int err = super_mark(fs, false);

	if (err)
		return err;
	backup_write(fs);
	mutex_lock(&fs->lock);
	if (fs->txn->close)
		err = fs->txn->close(fs);
	fs->readonly |= !err;
	mutex_unlock(&fs->lock);
	return err;
}

static int
super_remount(struct super *vsb, unsigned long flags)
{
	struct efs *fs = vsb->priv;
	bool readonly = flags & MS_RDONLY;

	if (!fs->map_free || fs->damaged || (!readonly && readonly_why(fs)))
		return readonly ? 0 : -EROFS;
	if (readonly && !fs->readonly)
		return changes_end(fs);
	if (readonly || !fs->readonly)
		return 0;
	fs->readonly = false;
	int err = super_mark(fs, true);
	fs->readonly = err != 0;
	if (!err && list_empty(&fs->orphans))
		orphans_free(vsb);
	return err;
}

/* The last write. No changes are taken after it. Returns 0 or -EIO. */
static int
super_close(struct efs *fs)
{
	int err = 0;

	if (fs->map_free && !fs->readonly) {
		err = changes_end(fs);
		fs->readonly = true;
	} else if (fs->ndirty) {
		err = efs_commit(fs, true);
	}
	return err ? err : block_flush(fs->bdev);
}

static void
super_unmount(struct super *vsb)
{
	struct efs *fs = vsb->priv;

	mutex_lock(&mounted_lock);
	list_remove(&fs->link);
	mutex_unlock(&mounted_lock);
	int err = super_close(fs);
	if (err)
		klog(LOG_ERR, "eclipsefs %s: unmount: error %d\n", fs->bdev->name, err);
	efs_free(fs);
	vsb->priv = NULL;
}

static const struct super_ops super_ops = {
	.sync = super_sync_op,
	.statfs = super_statfs,
	.write_inode = efs_inode_write,
	.evict = efs_inode_evict,
	.remount = super_remount,
	.unmount = super_unmount,
};

/* fs_type.mount. */
static int
efs_mount(struct fs_type *t, struct blockdev *bdev, unsigned long flags, const char *data, struct super **out)
{
	(void)data;
	struct super *vsb = super_new(t, &super_ops);
	if (!vsb)
		return -ENOMEM;
	vsb->bdev = bdev;
	vsb->dev = bdev->devno;
	vsb->flags = flags & MS_RDONLY;
	struct efs *fs = vsb->priv = efs_new(vsb, bdev);
	int err = fs ? version_mount(fs) : -ENOMEM;
	if (!err) {
		mutex_lock(&mounted_lock);
		list_push_back(&mounted, &fs->link);
		mutex_unlock(&mounted_lock);
		*out = vsb;
		return 0;
	}
	super_free(vsb);
	if (fs)
		efs_free(fs);
	return err;
}

static struct fs_type efs_type = {
	.name = "eclipsefs",
	.needs_dev = true,
	.mount = efs_mount,
};

/* The machine stops; the VFS has written everything back (its hook is before ours). */
static void
efs_shutdown(void)
{
	mutex_lock(&mounted_lock);
	list_for_each(fs, &mounted, struct efs, link)
		if (super_close(fs))
			klog(LOG_ERR, "eclipsefs %s: could not be closed\n", fs->bdev->name);
	mutex_unlock(&mounted_lock);
}

static void
efs_init(void)
{
	fs_register(&efs_type);
	shutdown_register(efs_shutdown);
}
INITCALL(8, efs_init);
