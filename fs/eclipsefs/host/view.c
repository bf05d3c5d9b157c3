/* view.c - reading a file system of either version: one set of calls for 2.0 and 3.0.
 *
 * Idea.       view_open() looks at the version; the other calls branch on it once each. All checks of the
 *             format are made on the way; what fails is a message and -EBADMSG, and the caller goes on with
 *             the next thing.
 * Interface.  See view.h. view_entries() gives a directory sorted by name, without later duplicates.
 * Invariants. I1 an image can make us fail, not crash, hang or use memory out of proportion to its size.
 * Locks.      None.
 */
#include "fs/eclipsefs/host/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int
v2_image_read(void *ctx, uint64_t off, void *buf, size_t n)
{
	return image_read(ctx, off, buf, n);
}

/* Open image `path`, find the file system, check its header. Complains itself.
 * Returns: 0 or -errno. */
int
view_open(struct view *v, const char *path, uint64_t offset)
{
	const char *wrong = NULL;
	memset(v, 0, sizeof(*v));
	int err = image_open(&v->im, path, O_RDONLY, offset, IMAGE_FILESYSTEM);
	if (err == 0 && v->im.bytes < sizeof(struct efs_header)) {
		complain("%s: too short for a file system", path);
		return -EINVAL;
	}
	size_t n = v->im.bytes < EFS_BLOCK ? (size_t)v->im.bytes : EFS_BLOCK;
	if (err == 0)
		err = image_read(&v->im, 0, &v->sb, n);
	if (err) {
		complain("%s: %s", path, strerror(-err));
		return err;
	}
	v->version = v->sb.h.version;
	if (memcmp(v->sb.h.magic, EFS_MAGIC, EFS_MAGIC_LEN) != 0) {
		wrong = "no EclipseFS found";
	} else if (v->version == EFS_VERSION_2) {
		err = efs2_open(&v->v2, v2_image_read, &v->im, v->im.bytes, &wrong);
		if (err == 0)
			wrong = NULL;
	} else if (v->version == EFS_VERSION_3) {
		wrong = efs_super_check(&v->sb, v->im.bytes / EFS_BLOCK);
		if (!wrong && log_read(&v->im, &v->sb, &v->log) == NULL && v->log.transactions > 0)
			err = log_block_read(&v->im, &v->log, EFS_SUPER_BLOCK, &v->sb);
		if (!wrong && err == 0)
			wrong = efs_super_check(&v->sb, v->im.bytes / EFS_BLOCK);
	} else {
		complain("%s: EclipseFS version %u.%u (0x%08x): only 2.0 and 3.0 can be read", path, v->version >> 16,
		    v->version & 0xffff, v->version);
		return -EINVAL;
	}
	if (wrong)
		complain("%s: %s", path, wrong);
	return wrong ? -EINVAL : 0;
}

uint32_t
view_inodes(const struct view *v)
{
	return v->version == EFS_VERSION_2 ? v->v2.inodes : v->sb.h.total_inodes;
}

/* Read a metadata block and check its head. */
static int
meta_read(struct view *v, uint32_t magic, uint64_t block, uint32_t owner, void *buf)
{
	int err = log_block_read(&v->im, &v->log, block, buf);
	if (err)
		return err;
	const char *wrong = efs_mb_check(buf, magic, block, v->sb.fsid, owner);
	if (wrong)
		complain("block %llu: %s", (unsigned long long)block, wrong);
	return wrong ? -EBADMSG : 0;
}

static int
v3_node(struct view *v, uint32_t ino, struct node *out)
{
	struct efs_inode_block ib;
	uint64_t map = v->sb.imap_start + (ino - 1) / EFS_MAP_BITS;
	uint32_t bit = (ino - 1) % EFS_MAP_BITS;
	if (v->imap_block != map) {
		v->imap_block = 0;
		int err = meta_read(v, EFS_MB_IMAP, map, 0, &v->imap);
		if (err)
			return err;
		v->imap_block = map;
	}
	if (!(v->imap.bits[bit / 64] >> bit % 64 & 1))
		return -ENOENT;
	int err = meta_read(v, EFS_MB_INODES, efs_inode_block_of(&v->sb, ino), 0, &ib);
	if (err)
		return err;
	out->v3 = ib.inodes[efs_inode_slot_of(ino)];
	const struct efs_inode *di = &out->v3;
	const char *wrong = efs_inode_check(&v->sb, di);
	if (wrong) {
		complain("inode %u: %s", ino, wrong);
		return -EBADMSG;
	}
	out->mode = di->mode;
	out->nlink = di->nlink;
	out->uid = di->uid;
	out->gid = di->gid;
	out->size = di->size;
	out->blocks = di->blocks;
	out->rdev = di->rdev;
	out->atime = di->atime, out->atime_ns = di->atime_ns;
	out->mtime = di->mtime, out->mtime_ns = di->mtime_ns;
	out->ctime = di->ctime, out->ctime_ns = di->ctime_ns;
	return 0;
}

static int
v2_node(struct view *v, uint32_t ino, struct node *out)
{
	int err = efs2_node_get(&v->v2, ino, &out->v2);
	if (err) {
		complain("inode %u: %s", ino, err == EFS2_EBAD ? "bad node" : strerror(-err));
		return err == EFS2_EBAD ? -EBADMSG : err;
	}
	out->mode = out->v2.mode;
	out->nlink = out->v2.nlink;
	out->uid = out->v2.uid;
	out->gid = out->v2.gid;
	out->size = out->v2.size;
	out->blocks = efs_size_blocks(out->v2.content_len);
	out->atime = out->v2.atime;
	out->mtime = out->v2.mtime;
	out->ctime = out->v2.ctime;
	return 0;
}

/* Read inode `ino`.
 * Returns: 0; -ENOENT not in use; -EBADMSG not right (said so); -errno. */
int
view_node(struct view *v, uint32_t ino, struct node *out)
{
	memset(out, 0, sizeof(*out));
	if (ino == 0 || ino > view_inodes(v))
		return -ENOENT;
	out->ino = ino;
	return v->version == EFS_VERSION_2 ? v2_node(v, ino, out) : v3_node(v, ino, out);
}

/* Block of the disk that holds block `logical` of the file, 0 for a hole, which reaches to block *end at
 * least. */
static int
extent_map(struct view *v, const struct node *n, uint32_t logical, uint64_t *block, uint64_t *end)
{
	const struct efs_extent *e = n->v3.extents;
	unsigned count = n->v3.count, level = n->v3.level;
	*block = 0;
	*end = 1ull << 32;
	for (;;) {
		int i = efs_extent_search(e, count, logical);
		if (i + 1 < (int)count && e[i + 1].logical < *end)
			*end = e[i + 1].logical;
		if (i < 0)
			return 0;
		if (level == 0) {
			if (logical - e[i].logical < e[i].len)
				*block = e[i].block + (logical - e[i].logical);
			return 0;
		}
		uint64_t child = e[i].block;
		level--;
		if (v->node_block != child || v->node.mb.owner != n->ino) {
			v->node_block = 0;
			int err = meta_read(v, EFS_MB_EXTENT, child, n->ino, &v->node);
			if (err)
				return err;
			v->node_block = child;
		}
		if (v->node.level != level || v->node.count == 0 || v->node.count > EFS_NODE_EXTENTS
		    || efs_extents_check(&v->sb, v->node.extents, v->node.count, level, 0, 1ull << 32)) {
			complain("inode %u: bad extent node %llu", n->ino, (unsigned long long)child);
			return -EBADMSG;
		}
		e = v->node.extents;
		count = v->node.count;
	}
}

static int
v3_read(struct view *v, const struct node *n, uint64_t off, uint8_t *buf, size_t len)
{
	if (n->v3.flags & EFS_INODE_INLINE) {
		memcpy(buf, n->v3.inline_data + off, len);
		return 0;
	}
	while (len > 0) {
		uint64_t block, end;
		size_t in = (size_t)(off % EFS_BLOCK);
		size_t part = len < EFS_BLOCK - in ? len : EFS_BLOCK - in;
		int err = extent_map(v, n, (uint32_t)(off >> EFS_BLOCK_BITS), &block, &end);
		if (err)
			return err;
		if (block == 0)
			memset(buf, 0, part);
		else if ((err = image_read(&v->im, block * EFS_BLOCK + in, buf, part)) != 0)
			return err;
		buf += part;
		off += part;
		len -= part;
	}
	return 0;
}

/* How many bytes from `off`, the start of a block, on are a hole: *len, 0 when there is data. Returns 0 or
 * -errno. */
int
view_hole(struct view *v, const struct node *n, uint64_t off, uint64_t *len)
{
	uint64_t block = 1, end = 0;
	*len = 0;
	if (v->version == EFS_VERSION_2 || (n->v3.flags & EFS_INODE_INLINE))
		return 0;
	int err = extent_map(v, n, (uint32_t)(off >> EFS_BLOCK_BITS), &block, &end);
	if (!err && block == 0)
		*len = (end << EFS_BLOCK_BITS) - off;
	return err;
}

/* Read `len` bytes at `off` of a file or link target.
 * Requires: the range lies inside n->size (of a 3.0 directory: its blocks).
 * Returns: 0 or -errno. */
int
view_read(struct view *v, const struct node *n, uint64_t off, void *buf, size_t len)
{
	if (off > n->size || len > n->size - off)
		return -ERANGE;
	if (v->version == EFS_VERSION_2)
		return image_read(&v->im, n->v2.content + off, buf, len);
	return v3_read(v, n, off, buf, len);
}

static void
entry_add(struct entry **list, size_t *n, const void *name, size_t len, uint32_t ino)
{
	if ((*n & (*n - 1)) == 0)
		*list = xgrow(*list, (*n ? 2 * *n : 1) * sizeof(**list));
	struct entry *e = &(*list)[(*n)++];
	memcpy(e->name, name, len);
	e->name[len] = 0;
	e->ino = ino;
}

static int
v3_entries(struct view *v, const struct node *dir, struct entry **list, size_t *n)
{
	uint8_t block[EFS_BLOCK] __attribute__((aligned(8)));
	for (uint64_t at = 0; at < dir->size; at += EFS_BLOCK) {
		uint64_t where, end;
		int err = extent_map(v, dir, (uint32_t)(at >> EFS_BLOCK_BITS), &where, &end);
		if (err == 0 && where == 0)
			err = -EBADMSG;
		if (err == 0)
			err = meta_read(v, EFS_MB_DIR, where, dir->ino, block);
		if (err == 0 && efs_dir_check(block))
			err = -EBADMSG;
		if (err) {
			complain("inode %u: bad directory block", dir->ino);
			return err;
		}
		uint32_t off = EFS_DIR_FIRST;
		for (struct efs_dirent *de; (de = efs_dirent_next(block, &off)) != NULL;)
			if (de->ino)
				entry_add(list, n, de->name, de->namelen, de->ino);
	}
	return 0;
}

static int
v2_entries(struct view *v, const struct node *dir, struct entry **list, size_t *n)
{
	char name[EFS_NAME_MAX + 1];
	uint64_t pos = 0;
	uint32_t ino;
	int got;
	while ((got = efs2_dirent_get(&v->v2, &dir->v2, &pos, &ino, name)) == 1)
		entry_add(list, n, name, strlen(name), ino);
	if (got < 0)
		complain("inode %u: bad directory entry", dir->ino);
	return got == EFS2_EBAD ? -EBADMSG : got;
}

/* By name; the position in the directory decides between duplicates, kept in the order of the array. */
static int
entry_compare(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
	int c = strcmp(x->name, y->name);
	return c ? c : x < y ? -1 : x > y;
}

/* All entries of directory `dir`, sorted, the first of duplicates only. The caller frees *out.
 * Returns: 0; -ENOTDIR; -EBADMSG when the directory is damaged: *out has what was readable. */
int
view_entries(struct view *v, const struct node *dir, struct entry **out, size_t *count)
{
	struct entry *list = NULL;
	size_t n = 0, kept = 0;
	*out = NULL;
	*count = 0;
	if ((dir->mode & EFS_IFMT) != EFS_IFDIR)
		return -ENOTDIR;
	int err = v->version == EFS_VERSION_2 ? v2_entries(v, dir, &list, &n) : v3_entries(v, dir, &list, &n);
	struct entry **order = xalloc(n * sizeof(*order));
	struct entry *sorted = xalloc(n * sizeof(*sorted));
	for (size_t i = 0; i < n; i++)
		order[i] = &list[i];
	if (n > 0)
		qsort(order, n, sizeof(*order), entry_compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(sorted[kept - 1].name, order[i]->name) != 0)
			sorted[kept++] = *order[i];
	free(order);
	free(list);
	*out = sorted;
	*count = kept;
	return err;
}
