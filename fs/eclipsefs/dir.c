/* dir.c - the blocks of a directory: find, insert, remove, list names.                         (lab 8)
 *
 * Idea.       Records fill each block without gaps and never move while their name exists, so a record's
 *             byte position is a cookie that readdir can go on from, whatever is removed or added meanwhile
 *             (rm -r works).
 *
 *                 | head | a | b | free      | c | free |       removing b: its record becomes free
 *                                                               inserting: free ones are joined, then cut
 *
 *             Where a name is, the index knows (dirindex.c); where there is room, ei->blocks[].room, an
 *             estimate from above that is corrected by looking.
 * Interface.  efs_dir_*, efs_readdir.
 * Invariants. I1 once ei->index exists it has exactly the names of the directory. I2 ei->blocks[i] is block
 *             i of it.
 *             I3 positions are below 4 GiB.
 * Locks.      sb->ns (the VFS's) keeps the names; fs->lock for buffers.
 */
#include "fs/eclipsefs/efs.h"

#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define ROOM_MAX   (EFS_BLOCK - EFS_DIR_FIRST)
#define BLOCKS_MAX (1u << (32 - EFS_BLOCK_BITS))	/* I3 */
#define COOKIE     2u					/* the VFS has 0 and 1 for "." and ".." */

static struct efs_dirent *
record_at(struct ebuf *b, uint32_t off)
{
	return (struct efs_dirent *)(b->data + off);
}

static int
block_get(struct efs *fs, struct inode *dir, uint32_t i, struct ebuf **out)
{
	return efs_buf_get(fs, einode_of(dir)->blocks[i].block, EFS_MB_DIR, dir->ino, out);
}

/* ---- the index ---- */

/* Enter the names of one block into the index, and find its room. */
static int
block_index(struct einode *ei, struct ebuf *b, uint32_t i)
{
	uint32_t off = EFS_DIR_FIRST, run = 0;
	struct dirblock *blk = &ei->blocks[i];

	blk->from = EFS_BLOCK;
	for (struct efs_dirent *de; (de = efs_dirent_next(b->data, &off)) != NULL;) {
		uint32_t at = off - de->reclen;
		if (de->ino) {
			int err = efs_index_add(ei->index, de->hash, (i << EFS_BLOCK_BITS) + at);
			if (err)
				return err;
			run = 0;
			continue;
		}
		run += de->reclen;
		if (run > blk->room)
			blk->room = run;
		if (at < blk->from)
			blk->from = at;
	}
	return 0;
}

/* Find all blocks of the directory and enter their names. */
static int
blocks_index(struct efs *fs, struct inode *dir)
{
	struct einode *ei = einode_of(dir);
	uint32_t len;
	struct ebuf *b;

	for (uint32_t i = 0; i < ei->nblocks; i++) {
		int err = efs_extent_map(fs, ei, i, &ei->blocks[i].block, &len);
		if (!err && !ei->blocks[i].block)
			err = efs_damage(fs, "directory %lu has holes", dir->ino);
		if (!err)
			err = block_get(fs, dir, i, &b);
		if (err)
			return err;
		err = block_index(ei, b, i);
		efs_buf_put(fs, b);
		if (err)
			return err;
	}
	return 0;
}

/* Make the index, if the directory has none yet. Requires: fs->lock. Returns 0, -EIO, -ENOMEM, -EFBIG. */
static int
index_need(struct efs *fs, struct inode *dir)
{
	struct einode *ei = einode_of(dir);
	uint64_t n = dir->size >> EFS_BLOCK_BITS;

	if (ei->index)
		return 0;
	if (n >= BLOCKS_MAX || n > fs->sb->blocks)
		return -EFBIG;
	uint64_t room = 1;
	while (room < n)
		room *= 2;
	ei->nblocks = n;
	ei->blocks = n ? kzalloc(room * sizeof(*ei->blocks)) : NULL;
	ei->index = efs_index_new();
	int err = (n && !ei->blocks) || !ei->index ? -ENOMEM : blocks_index(fs, dir);
	if (err) {
		efs_index_free(ei->index);
		kfree(ei->blocks);
		ei->index = NULL;
		ei->blocks = NULL;
		ei->nblocks = 0;
	}
	return err;
}

/* Find a name.
 *
 * Requires: fs->lock, sb->ns.
 * Returns:  0, and *out says where, its buffer in use until the caller puts it; -ENOENT; -EIO, -ENOMEM.
 */
int
efs_dir_find(struct efs *fs, struct inode *dir, const char *name, size_t len, struct dirref *out)
{
	struct einode *ei = einode_of(dir);
	uint32_t cursor = 0;
	int err = index_need(fs, dir);

	if (err)
		return err;
	out->hash = efs_name_hash(name, len);
	while (efs_index_next(ei->index, out->hash, &cursor, &out->pos)) {
		err = block_get(fs, dir, out->pos >> EFS_BLOCK_BITS, &out->b);
		if (err)
			return err;
		out->de = record_at(out->b, out->pos & (EFS_BLOCK - 1));
		if (out->de->namelen == len && memcmp(out->de->name, name, len) == 0)
			return 0;
		efs_buf_put(fs, out->b);
	}
	return -ENOENT;
}

/* 1: no names; 0: some; -EIO, -ENOMEM. Requires: fs->lock, sb->ns. */
int
efs_dir_empty(struct efs *fs, struct inode *dir)
{
	int err = index_need(fs, dir);

	return err ? err : einode_of(dir)->index->used == 0;
}

/* ---- inserting, removing ---- */

/* Join the free records from `off` on; returns the length of the whole. */
static uint32_t
free_join(struct ebuf *b, uint32_t off)
{
	struct efs_dirent *de = record_at(b, off);

	while (off + de->reclen < EFS_BLOCK && record_at(b, off + de->reclen)->ino == 0)
		de->reclen += record_at(b, off + de->reclen)->reclen;
	return de->reclen;
}

/* Look for a free record of `need` bytes in block i. Returns its offset, or 0: blk->room is now the truth. */
static uint32_t
room_find(struct dirblock *blk, struct ebuf *b, uint32_t need)
{
	uint32_t first = EFS_BLOCK, most = 0;

	for (uint32_t off = blk->from; off < EFS_BLOCK; off += record_at(b, off)->reclen) {
		if (record_at(b, off)->ino)
			continue;
		uint32_t len = free_join(b, off);
		if (first == EFS_BLOCK)
			first = off;
		if (len >= need) {
			blk->from = first;
			return off;
		}
		most = len > most ? len : most;
	}
	blk->from = first;
	blk->room = most;
	return 0;
}

/* Write a record into the free one at `off`; what is left of that stays free. */
static void
record_write(struct ebuf *b, uint32_t off, const char *name, size_t len, uint32_t hash,
	const struct inode *ip)
{
	struct efs_dirent *de = record_at(b, off);
	uint32_t need = EFS_DIRENT_SIZE(len), rest = de->reclen - need;

	if (rest >= EFS_DIRENT_MIN) {
		*record_at(b, off + need) = (struct efs_dirent){ .reclen = rest };
		de->reclen = need;
	}
	de->ino = ip->ino;
	de->hash = hash;
	de->namelen = len;
	de->type = ip->mode >> 12;
	memcpy(de->name, name, len);
}

/* One more block at the end of the directory, all free. */
static int
block_append(struct efs *fs, struct inode *dir)
{
	struct einode *ei = einode_of(dir);
	uint64_t goal = ei->nblocks ? ei->blocks[ei->nblocks - 1].block + 1 : 0, block;
	uint32_t got;
	struct ebuf *b;

	if (ei->nblocks + 1 >= BLOCKS_MAX)
		return -ENOSPC;
	if ((ei->nblocks & (ei->nblocks - 1)) == 0) {		/* there is room for a power of two, see index_need */
		struct dirblock *more = krealloc(ei->blocks, (ei->nblocks ? 2 * ei->nblocks : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		ei->blocks = more;
	}
	int err = efs_blocks_alloc(fs, goal, 1, false, &block, &got);
	if (err)
		return err;
	err = efs_buf_new(fs, block, EFS_MB_DIR, dir->ino, &b);
	if (!err) {
		record_at(b, EFS_DIR_FIRST)->reclen = ROOM_MAX;
		efs_buf_put(fs, b);
		err = efs_extent_add(fs, ei, (struct efs_extent){ .logical = ei->nblocks, .len = 1, .block = block });
	}
	if (err) {
		efs_blocks_free(fs, block, 1, true);
		return err;
	}
	ei->blocks[ei->nblocks++] = (struct dirblock){ block, ROOM_MAX, EFS_DIR_FIRST };
	dir->size = (uint64_t)ei->nblocks << EFS_BLOCK_BITS;
	return 0;
}

/* A block with a free record of `need` bytes, in use, and where. */
static int
room_get(struct efs *fs, struct inode *dir, uint32_t need, uint32_t *i, uint32_t *off, struct ebuf **b)
{
	struct einode *ei = einode_of(dir);

	for (*i = ei->block_hint;; ++*i) {
		int err = *i == ei->nblocks ? block_append(fs, dir) : 0;
		if (err)
			return err;
		if (ei->blocks[*i].room < need)
			continue;
		err = block_get(fs, dir, *i, b);
		if (err)
			return err;
		*off = room_find(&ei->blocks[*i], *b, need);
		if (*off) {
			ei->block_hint = *i;
			return 0;
		}
		efs_buf_put(fs, *b);
	}
}

/* Add a name, which is not there, for `ip`.
 *
 * Requires: in a transaction; sb->ns held. The caller stores dir, whose size may change.
 * Returns:  0; -ENOSPC, -EIO, -ENOMEM: nothing was added.
 */
int
efs_dir_insert(struct efs *fs, struct inode *dir, const char *name, size_t len, struct inode *ip)
{
	struct einode *ei = einode_of(dir);
	uint32_t hash = efs_name_hash(name, len), i, off;
	struct ebuf *b;
	int err = index_need(fs, dir);

	if (!err)
		err = room_get(fs, dir, EFS_DIRENT_SIZE(len), &i, &off, &b);
	if (err)
		return err;
	err = efs_index_add(ei->index, hash, (i << EFS_BLOCK_BITS) + off);
	if (!err) {
		record_write(b, off, name, len, hash, ip);
		efs_buf_dirty(fs, b);
	}
	efs_buf_put(fs, b);
	return err;
}

/* Remove the name that efs_dir_find() found; puts its buffer. Requires: in a transaction; sb->ns held.
 * Returns 0. */
int
efs_dir_remove(struct efs *fs, struct inode *dir, struct dirref *at)
{
	struct einode *ei = einode_of(dir);
	uint32_t i = at->pos >> EFS_BLOCK_BITS, off = at->pos & (EFS_BLOCK - 1);
	struct dirblock *blk = &ei->blocks[i];

	efs_index_del(ei->index, at->hash, at->pos);
	at->de->ino = at->de->hash = 0;
	at->de->namelen = at->de->type = 0;
	blk->room = blk->room + at->de->reclen < ROOM_MAX ? blk->room + at->de->reclen : ROOM_MAX;
	if (off < blk->from)
		blk->from = off;
	if (i < ei->block_hint)
		ei->block_hint = i;
	efs_buf_dirty(fs, at->b);
	efs_buf_put(fs, at->b);
	return 0;
}

/* ---- listing ---- */

typedef int emit_fn(void *arg, const char *name, size_t len, uint64_t ino, int dtype, uint64_t next);

/* Emit the names of one block from offset `from` on. 1: emit wants no more; *pos is where to go on. */
static int
block_emit(struct ebuf *b, uint64_t base, uint32_t from, uint64_t *pos, emit_fn *emit, void *arg)
{
	uint32_t off = EFS_DIR_FIRST;

	for (struct efs_dirent *de; (de = efs_dirent_next(b->data, &off)) != NULL;) {
		if (off - de->reclen < from || !de->ino)
			continue;
		if (emit(arg, (const char *)de->name, de->namelen, de->ino, de->type, base + off + COOKIE))
			return 1;
		*pos = base + off + COOKIE;
	}
	return 0;
}

/* dir_ops.readdir. A cookie is the byte position behind a record, plus COOKIE. */
int
efs_readdir(struct inode *dir, uint64_t *pos, emit_fn *emit, void *arg)
{
	struct efs *fs = efs_of(dir);
	uint64_t at = *pos > COOKIE ? *pos - COOKIE : 0;
	int err = 0;

	mutex_lock(&fs->lock);
	while (!err && at < dir->size) {
		uint64_t block, base = at & ~(uint64_t)(EFS_BLOCK - 1);
		uint32_t len;
		struct ebuf *b;
		err = efs_extent_map(fs, einode_of(dir), at >> EFS_BLOCK_BITS, &block, &len);
		if (!err && !block)
			err = efs_damage(fs, "directory %lu has holes", dir->ino);
		if (!err)
			err = efs_buf_get(fs, block, EFS_MB_DIR, dir->ino, &b);
		if (err)
			break;
		err = block_emit(b, base, at - base, pos, emit, arg);
		efs_buf_put(fs, b);
		at = base + EFS_BLOCK;
		if (!err)
			*pos = at + COOKIE;
	}
	mutex_unlock(&fs->lock);
	return err < 0 ? err : 0;
}
