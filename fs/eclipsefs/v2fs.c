/* v2fs.c - EclipseFS 2.0 images as a read-only file system.                                    (lab 8)
 *
 * Idea.       v2.c knows the format and reads bytes; here the bytes come from the buffer cache, as blocks
 *             without a head (EBUF_RAW), and go to the VFS. Nothing in a 2.0 image is aligned, so pages are
 *             copied together, not read into. A directory that is used gets an index, as those of 3.0 do;
 *             the first of names that occur twice wins.
 * Interface.  efs2_mount().
 * Invariants. I1 the file system never changes: fs->readonly, and the VFS sees MS_RDONLY.
 * Locks.      fs->lock around v2.c.
 */
#include "fs/eclipsefs/efs.h"

#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/string.h"

#define COOKIE 2u

static const struct dir_ops v2_dir_ops;
static const struct inode_ops v2_iops;

/* Bytes of the device, for v2.c. Requires: fs->lock. */
static int
v2_bytes(void *ctx, uint64_t off, void *buf, size_t n)
{
	struct efs *fs = ctx;
	uint8_t *p = buf;

	while (n > 0) {
		uint32_t at = off % EFS_BLOCK, part = n < EFS_BLOCK - at ? n : EFS_BLOCK - at;
		struct ebuf *b;
		int err = efs_buf_get(fs, off / EFS_BLOCK, EBUF_RAW, 0, &b);
		if (err)
			return err;
		memcpy(p, b->data + at, part);
		efs_buf_put(fs, b);
		p += part;
		off += part;
		n -= part;
	}
	return 0;
}

/* Seconds as the VFS has them; what the image says may be any number. */
static int64_t
time_of(int64_t s)
{
	const int64_t most = INT64_MAX / (int64_t)NSEC;

	return (s > most ? most : s < -most ? -most : s) * (int64_t)NSEC;
}

static void
v2_fill(struct inode *ip, struct einode *ei)
{
	const struct efs2_info *v = &ei->v2;

	ei->ip = ip;
	list_init(&ei->orphan_link);
	ip->priv = ei;
	ip->mode = v->mode;
	ip->nlink = v->nlink ? v->nlink : 1;
	ip->uid = v->uid;
	ip->gid = v->gid;
	ip->size = v->size;
	ip->blocks = efs_size_blocks(v->content_len) * (EFS_BLOCK / 512);
	ip->atime = time_of(v->atime);
	ip->mtime = time_of(v->mtime);
	ip->ctime = time_of(v->ctime);
	ip->iops = &v2_iops;
	ip->dops = S_ISDIR(v->mode) ? &v2_dir_ops : NULL;
	ip->fops = NULL;           /* by type */
}

/* Inode `ino` of a 2.0 file system, referenced. Returns 0, -EIO, -ENOMEM. */
static int
v2_load(struct super *sb, uint32_t ino, struct inode **out)
{
	struct efs *fs = sb->priv;
	int err = inode_get(sb, ino, out);

	if (err || !((*out)->flags & I_NEW))
		return err;
	struct einode *ei = kzalloc(sizeof(*ei));
	mutex_lock(&fs->lock);
	err = ei ? efs2_node_get(&fs->v2, ino, &ei->v2) : -ENOMEM;
	if (err == EFS2_EBAD)
		err = efs_damage(fs, "inode %u: bad node", ino);
	mutex_unlock(&fs->lock);
	if (err) {
		kfree(ei);
		inode_fail_new(*out);
		return err;
	}
	v2_fill(*out, ei);
	inode_unlock_new(*out);
	return 0;
}

/* ---- directories ---- */

/* The first entry of this name: its position + 1, 0 none; -EIO, -ENOMEM. Requires: fs->lock. */
static int
index_find(struct efs *fs, struct einode *dir, const char *name, size_t len, uint32_t *pos, uint32_t *ino)
{
	uint32_t hash = efs_name_hash(name, len), cursor = 0, at;
	char found[EFS_NAME_MAX + 1];

	*pos = 0;
	while (efs_index_next(dir->index, hash, &cursor, &at)) {
		uint64_t p = at - 1;
		uint32_t i;
		int got = efs2_dirent_get(&fs->v2, &dir->v2, &p, &i, found);
		if (got < 0)
			return -EIO;
		if (strlen(found) != len || memcmp(found, name, len) != 0)
			continue;
		*pos = at;
		*ino = i;
		return 0;
	}
	return 0;
}

/* Make the index of a directory. What comes after a bad entry is not seen. */
static int
index_need(struct efs *fs, struct einode *dir)
{
	char name[EFS_NAME_MAX + 1];
	uint64_t pos = 0, at = 0;
	uint32_t ino, first, dummy;
	int got, err = 0;

	if (dir->index)
		return 0;
	dir->index = efs_index_new();
	if (!dir->index)
		return -ENOMEM;
	while (!err && (got = efs2_dirent_get(&fs->v2, &dir->v2, &pos, &ino, name)) == 1) {
		size_t len = strlen(name);
		err = index_find(fs, dir, name, len, &first, &dummy);
		if (!err && !first)
			err = efs_index_add(dir->index, efs_name_hash(name, len), at + 1);
		at = pos;
	}
	if (!err && got == EFS2_EBAD)
		efs_damage(fs, "directory %lu: bad entry", dir->ip->ino);
	else if (!err && got < 0)
		err = got;
	if (err) {
		efs_index_free(dir->index);
		dir->index = NULL;
	}
	return err;
}

static int
v2_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct efs *fs = efs_of(dir);
	uint32_t pos = 0, ino = 0;

	mutex_lock(&fs->lock);
	int err = index_need(fs, einode_of(dir));
	if (!err)
		err = index_find(fs, einode_of(dir), name, len, &pos, &ino);
	mutex_unlock(&fs->lock);
	if (err)
		return err;
	if (!pos)
		return -ENOENT;
	if (ino == EFS_ROOT_INO || ino == dir->ino)
		return -EIO;
	err = v2_load(dir->sb, ino, out);
	if (err || !S_ISDIR((*out)->mode))
		return err;
	/* A directory has one parent; images do not say which, so the first that asks. */
	struct einode *ei = einode_of(*out);
	if (ei->di.parent == 0)
		ei->di.parent = dir->ino;
	if (ei->di.parent == dir->ino)
		return 0;
	inode_put(*out);
	return -EIO;
}

static int
v2_readdir(struct inode *dir, uint64_t *pos,
	int (*emit)(void *arg, const char *name, size_t len, uint64_t ino, int dtype, uint64_t next), void *arg)
{
	struct efs *fs = efs_of(dir);
	struct einode *ei = einode_of(dir);
	uint64_t at = *pos > COOKIE ? *pos - COOKIE : 0, next = at;
	char name[EFS_NAME_MAX + 1];
	uint32_t ino, first, dummy;

	mutex_lock(&fs->lock);
	int err = index_need(fs, ei);
	while (!err && efs2_dirent_get(&fs->v2, &ei->v2, &next, &ino, name) == 1) {
		struct efs2_info info = { .mode = 0 };
		size_t len = strlen(name);
		err = index_find(fs, ei, name, len, &first, &dummy);
		if (!err && first == at + 1) {
			efs2_node_get(&fs->v2, ino, &info);
			err = emit(arg, name, len, ino, info.mode >> 12, next + COOKIE);
		}
		if (!err)
			*pos = next + COOKIE;
		at = next;
	}
	mutex_unlock(&fs->lock);
	return err < 0 ? err : 0;
}

/* ---- contents ---- */

static int
v2_read_page(struct inode *ip, struct page *p)
{
	const struct efs2_info *v = &einode_of(ip)->v2;
	uint64_t at = p->index << PAGE_SHIFT;
	size_t n = at >= v->content_len ? 0 : v->content_len - at < PAGE_SIZE ? v->content_len - at : PAGE_SIZE;
	char *data = page_virt(p);

	memset(data + n, 0, PAGE_SIZE - n);
	return v2_bytes(efs_of(ip), v->content + at, data, n);
}

static int
v2_read(struct inode *ip, struct page **pages, int n)
{
	for (int i = 0; i < n; i++) {
		mutex_lock(&efs_of(ip)->lock);
		int err = v2_read_page(ip, pages[i]);
		mutex_unlock(&efs_of(ip)->lock);
		page_read_done(pages[i], err);
	}
	return 0;
}

static long
v2_readlink(struct inode *ip, char *buf, size_t n)
{
	struct efs *fs = efs_of(ip);

	if (!S_ISLNK(ip->mode))
		return -EINVAL;
	if (n > ip->size)
		n = ip->size;
	mutex_lock(&fs->lock);
	int err = v2_bytes(fs, einode_of(ip)->v2.content, buf, n);
	mutex_unlock(&fs->lock);
	return err ? err : (long)n;
}

static const struct dir_ops v2_dir_ops = {
	.lookup = v2_lookup,
	.readdir = v2_readdir,
};

static const struct inode_ops v2_iops = {
	.readlink = v2_readlink,
	.read_pages = v2_read,
};

/* Mount a 2.0 image: fs is made, its magic and version have been seen. Returns 0, -EINVAL (said why),
 * -EIO, -ENOMEM. */
int
efs2_mount(struct efs *fs)
{
	struct inode *root;
	const char *wrong;

	fs->readonly = true;
	fs->vsb->flags |= MS_RDONLY;
	fs->limit = 256;
	mutex_lock(&fs->lock);
	int err = efs2_open(&fs->v2, v2_bytes, fs, fs->bdev->nsectors * SECTOR_SIZE, &wrong);
	mutex_unlock(&fs->lock);
	if (err == EFS2_EBAD) {
		klog(LOG_ERR, "eclipsefs %s: version 2.0: %s\n", fs->bdev->name, wrong);
		return -EINVAL;
	}
	if (!err)
		err = v2_load(fs->vsb, EFS_ROOT_INO, &root);
	return err ? err : super_set_root(fs->vsb, root);
}
