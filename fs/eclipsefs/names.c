/* names.c - changes of names: lookup, create, link, unlink, rename.                            (lab 8)
 *
 * Idea.       Each is one transaction: find, check everything that can be refused, then change records,
 *             link counts and times, and store the inodes concerned. A directory's link count is 2 and one
 *             for each subdirectory.
 * Interface.  The dir_ops at the end.
 * Invariants. I1 until the last check has passed, nothing is changed that cannot be taken back.
 *             I2 an inode with a name is stored before the name is written.
 * Locks.      sb->ns (the VFS's), then fs->lock.
 */
#include "fs/eclipsefs/data.h"

#include "fs/vfs/namei.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* Store an inode whose change has happened; should that fail, the VFS will ask again. */
static void
store_later(struct efs *fs, struct inode *ip)
{
	if (efs_inode_store(fs, ip))
		klog(LOG_WARN, "eclipsefs %s: inode %lu is stored later\n", fs->bdev->name, ip->ino);
	inode_dirty(ip);
}

/* A directory's names have changed now. What matters is stored in this transaction; mere times when the
 * VFS says so. */
static void
dir_changed(struct efs *fs, struct inode *dir)
{
	const struct efs_inode *di = &einode_of(dir)->di;

	dir->mtime = dir->ctime = clock_wall_ns();
	if (dir->size != di->size || dir->nlink != di->nlink)
		store_later(fs, dir);
	else
		inode_dirty(dir);
}

/* dir_ops.lookup. */
static int
names_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct efs *fs = efs_of(dir);
	struct dirref at;
	uint32_t ino;

	mutex_lock(&fs->lock);
	int err = efs_dir_find(fs, dir, name, len, &at);
	if (!err) {
		ino = at.de->ino;
		efs_buf_put(fs, at.b);
		if (ino == EFS_ROOT_INO || ino == dir->ino)
			err = efs_damage(fs, "directory %lu has a name for %u", dir->ino, ino);
	}
	mutex_unlock(&fs->lock);
	if (err)
		return err;
	err = efs_inode_load(dir->sb, ino, out);
	if (err)
		return err;
	bool stray = S_ISDIR((*out)->mode) && einode_of(*out)->di.parent != dir->ino;
	if (!stray && (*out)->nlink > 0)
		return 0;
	mutex_lock(&fs->lock);
	err = efs_damage(fs, "inode %u has a name in %lu, but %s", ino, dir->ino,
		stray ? "another parent" : "no links");
	mutex_unlock(&fs->lock);
	(*out)->nlink += (*out)->nlink == 0;		/* not ours to free */
	inode_put(*out);
	return err;
}

/* Everything that a new inode has before its name. */
static int
inode_begin(struct efs *fs, struct inode *dir, struct inode *ip, const char *target)
{
	ip->nlink = S_ISDIR(ip->mode) ? 2 : 1;
	ip->uid = cred_uid();
	ip->gid = dir->mode & S_ISGID ? dir->gid : cred_gid();
	if (S_ISDIR(ip->mode))
		einode_of(ip)->di.parent = dir->ino;
	int err = S_ISLNK(ip->mode) ? efs_link_write(fs, ip, target, strlen(target)) : 0;
	return err ? err : efs_inode_store(fs, ip);
}

/* dir_ops.create. */
static int
names_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint32_t rdev,
	const char *target, struct inode **out)
{
	struct efs *fs = efs_of(dir);
	bool sub = S_ISDIR(mode);
	struct inode *ip;

	if (sub && dir->nlink >= EFS_NLINK_MAX)
		return -EMLINK;
	if (S_ISLNK(mode) && (!*target || strlen(target) > EFS_LINK_MAX))
		return *target ? -ENAMETOOLONG : -ENOENT;
	int err = efs_begin(fs);
	if (err)
		return err;
	err = efs_inode_make(dir->sb, mode, rdev, &ip);
	if (!err) {
		err = inode_begin(fs, dir, ip, target);
		if (!err)
			err = efs_dir_insert(fs, dir, name, len, ip);
		if (err) {
			efs_inode_unmake(ip);
			efs_inode_settle(fs, dir);
		}
	}
	if (!err) {
		dir->nlink += sub;
		dir_changed(fs, dir);
		inode_unlock_new(ip);
		*out = ip;
	}
	efs_end(fs);
	return err;
}

/* dir_ops.link. */
static int
names_link(struct inode *dir, const char *name, size_t len, struct inode *ip)
{
	struct efs *fs = efs_of(dir);

	if (ip->nlink >= EFS_NLINK_MAX)
		return -EMLINK;
	int err = efs_begin(fs);
	if (err)
		return err;
	err = efs_dir_insert(fs, dir, name, len, ip);
	if (!err) {
		ip->nlink++;
		ip->ctime = clock_wall_ns();
		store_later(fs, ip);
		dir_changed(fs, dir);
	} else {
		efs_inode_settle(fs, dir);
	}
	efs_end(fs);
	return err;
}

/* The inode has lost a name in `dir`: count, and if it was the last, it is an orphan from now on. */
static void
name_lost(struct efs *fs, struct inode *dir, struct inode *ip)
{
	if (S_ISDIR(ip->mode)) {
		dir->nlink--;
		ip->nlink = 0;
	} else {
		ip->nlink--;
	}
	ip->ctime = clock_wall_ns();
	if (ip->nlink > 0 || efs_orphan_add(fs, ip))
		store_later(fs, ip);
}

/* Find the name of `ip` in `dir`; -EIO when it is another inode's. */
static int
name_find(struct efs *fs, struct inode *dir, const char *name, size_t len, struct inode *ip,
	struct dirref *at)
{
	int err = efs_dir_find(fs, dir, name, len, at);

	if (err || at->de->ino == ip->ino)
		return err;
	efs_buf_put(fs, at->b);
	return -EIO;
}

/* 0 if the inode may lose its last name: -ENOTEMPTY for a directory with names. */
static int
may_lose(struct efs *fs, struct inode *ip)
{
	int empty = S_ISDIR(ip->mode) ? efs_dir_empty(fs, ip) : 1;

	return empty < 0 ? empty : empty ? 0 : -ENOTEMPTY;
}

/* dir_ops.unlink: also rmdir. */
static int
names_unlink(struct inode *dir, const char *name, size_t len, struct inode *ip)
{
	struct efs *fs = efs_of(dir);
	struct dirref at;
	int err = efs_begin(fs);

	if (err)
		return err;
	err = may_lose(fs, ip);
	if (!err)
		err = name_find(fs, dir, name, len, ip, &at);
	if (!err) {
		efs_dir_remove(fs, dir, &at);
		name_lost(fs, dir, ip);
		dir_changed(fs, dir);
	}
	efs_end(fs);
	return err;
}

/* The new name leads to ip: over the one of `target`, or a fresh one. */
static int
name_place(struct efs *fs, struct inode *dir, const char *name, size_t len, struct inode *ip,
	struct inode *target)
{
	struct dirref at;

	if (!target)
		return efs_dir_insert(fs, dir, name, len, ip);
	int err = may_lose(fs, target);
	if (!err)
		err = name_find(fs, dir, name, len, target, &at);
	if (err)
		return err;
	at.de->ino = ip->ino;
	at.de->type = ip->mode >> 12;
	efs_buf_dirty(fs, at.b);
	efs_buf_put(fs, at.b);
	return 0;
}

/* Counts, parents and times after a rename. */
static void
rename_settle(struct efs *fs, struct inode *odir, struct inode *ip, struct inode *ndir, struct inode *target)
{
	if (S_ISDIR(ip->mode) && odir != ndir) {
		odir->nlink--;
		ndir->nlink++;
		einode_of(ip)->di.parent = ndir->ino;
	}
	if (target)
		name_lost(fs, ndir, target);
	ip->ctime = clock_wall_ns();
	store_later(fs, ip);
	dir_changed(fs, odir);
	if (odir != ndir)
		dir_changed(fs, ndir);
}

/* dir_ops.rename. */
static int
names_rename(struct inode *odir, const char *oname, size_t olen, struct inode *ip,
	struct inode *ndir, const char *nname, size_t nlen, struct inode *target)
{
	struct efs *fs = efs_of(odir);
	struct dirref old;

	if (ip == target)
		return 0;
	if (S_ISDIR(ip->mode) && odir != ndir && !target && ndir->nlink >= EFS_NLINK_MAX)
		return -EMLINK;
	if (target && S_ISREG(ip->mode))
		pagecache_sync(ip, 0, ~0ul, false);	/* the old contents or the new: so the new are on their way first */
	int err = efs_begin(fs);
	if (err)
		return err;
	err = name_find(fs, odir, oname, olen, ip, &old);
	if (!err) {
		err = name_place(fs, ndir, nname, nlen, ip, target);
		if (err) {
			efs_buf_put(fs, old.b);
			efs_inode_settle(fs, ndir);
		}
	}
	if (!err) {
		efs_dir_remove(fs, odir, &old);
		rename_settle(fs, odir, ip, ndir, target);
	}
	efs_end(fs);
	return err;
}

static const struct dir_ops names_ops = {
	.lookup = names_lookup,
	.create = names_create,
	.link = names_link,
	.unlink = names_unlink,
	.rename = names_rename,
	.readdir = efs_readdir,
};

static void
names_init(void)
{
	efs_inode_set_ops(&names_ops, &efs_file_iops, &efs_link_iops);
}
INITCALL(8, names_init);
