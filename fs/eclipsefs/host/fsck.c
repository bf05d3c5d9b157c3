/* fsck.c - check an EclipseFS 3.0 and mend it.
 *
 * Idea.       One pass computes from the inodes and directories alone what the maps, link counts and lists
 *             ought to say, and compares. A mend repairs what is wrong in the simplest way and may leave
 *             something for the next pass to find (an inode cleared, so a name that points nowhere); passes
 *             are repeated until one finds nothing.
 *
 *             superblock -> journal -> inodes, extents -> directories -> links -> orphans -> maps, counts
 *
 * Interface.  fsck.eclipsefs [-n|-y] IMAGE; exit status 0 clean, 1 mended, 4 left broken, 8 could not run.
 * Invariants. I1 with -n nothing is written; a journal that waits for replay is looked at as if replayed.
 *             I2 each block is claimed once; what a second inode wants as well is copied for it. Extent nodes are
 *             visited once, or as contested ones at most as often as there are blocks: no loop in the image
 *             makes us loop.
 *             I3 memory is in proportion to the image's real size.
 * Locks.      None.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/host/replay.h"
#include "fs/eclipsefs/layout.h"

#define PASSES_MAX 8

#define CONTESTED (1ull << 63)	/* in a collected extent's `block`: somebody else has claimed some of it already */

enum { STATUS_CLEAN = 0, STATUS_MENDED = 1, STATUS_BROKEN = 4, STATUS_FAILED = 8 };

struct extents {
	struct efs_extent *e;
	size_t n;
};

struct inode_state {
	struct extents x;		/* directories, and what is to be rebuilt: the good extents */
	uint32_t refs;			/* names that lead here */
	uint32_t parent;		/* directories: where the name is, 0 none yet */
	uint32_t subdirs;
	bool used, orphan, reached, rebuild;
};

struct check {
	struct image im;
	struct efs_super sb;
	bool mend, verbose;
	unsigned problems;		/* in this pass */
	bool write_failed;
	struct log_content log;		/* I1: overlay while not mending */
	uint64_t *used;			/* bit per block, computed */
	uint64_t used_count;
	uint64_t contested;		/* visits of nodes that somebody else has claimed, in this pass */
	struct inode_state *st;		/* [0..total_inodes] */
	struct efs_inode_block **table;	/* per inode-table block, NULL: nothing in use there */
	bool *table_dirty;
};

/* ---- saying and doing ----------------------------------------------------------------------------- */

/* Report a problem. Returns whether it is to be mended. */
static bool __attribute__((format(printf, 2, 3)))
problem(struct check *c, const char *fmt, ...)
{
	va_list ap;
	c->problems++;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	puts(c->mend ? ": mended" : "");
	return c->mend;
}

static int
read_block(struct check *c, uint64_t block, void *buf)
{
	return c->mend ? block_read(&c->im, block, buf) : log_block_read(&c->im, &c->log, block, buf);
}

static void
write_block(struct check *c, uint64_t block, const void *buf)
{
	if (!c->mend)
		return;
	int err = block_write(&c->im, block, buf);
	if (err) {
		complain("block %llu: %s", (unsigned long long)block, strerror(-err));
		c->write_failed = true;
	}
}

static bool
block_used(const struct check *c, uint64_t block)
{
	return c->used[block / 64] >> block % 64 & 1;
}

/* Claim [block, block+len) for an inode; false if any of it is taken already (then nothing is claimed). */
static bool
blocks_claim(struct check *c, uint64_t block, uint64_t len)
{
	for (uint64_t i = block; i < block + len; i++)
		if (block_used(c, i))
			return false;
	for (uint64_t i = block; i < block + len; i++)
		c->used[i / 64] |= 1ull << i % 64;
	c->used_count += len;
	return true;
}

/* A block that nobody has claimed or is marked in use, for a mend; 0: none. */
static uint64_t
block_take(struct check *c)
{
	for (uint64_t i = c->sb.data_start; i < c->sb.blocks; i++)
		if (blocks_claim(c, i, 1))
			return i;
	return 0;
}

static struct efs_inode *
inode_at(struct check *c, uint32_t ino)
{
	struct efs_inode_block *ib = c->table[(ino - 1) / EFS_INODES_PER_BLOCK];
	return ib ? &ib->inodes[efs_inode_slot_of(ino)] : NULL;
}

static void
inode_dirty(struct check *c, uint32_t ino)
{
	c->table_dirty[(ino - 1) / EFS_INODES_PER_BLOCK] = true;
}

static void
inode_clear(struct check *c, uint32_t ino)
{
	struct efs_inode *di = inode_at(c, ino);
	uint32_t generation = di->generation;
	memset(di, 0, sizeof(*di));
	di->generation = generation;
	c->st[ino].used = false;
	inode_dirty(c, ino);
}

static bool
is_dir(struct check *c, uint32_t ino)
{
	return c->st[ino].used && (inode_at(c, ino)->mode & EFS_IFMT) == EFS_IFDIR;
}

/* ---- extents of one inode ------------------------------------------------------------------------- */

static void
extents_push(struct extents *x, struct efs_extent e)
{
	if ((x->n & (x->n - 1)) == 0)
		x->e = xgrow(x->e, (x->n ? 2 * x->n : 1) * sizeof(*x->e));
	x->e[x->n++] = e;
}

/* Read and check the node of inode `ino` that must be at `block` and of this level. Returns NULL, or what is wrong. */
static const char *
node_read(struct check *c, uint32_t ino, uint64_t block, unsigned level, struct efs_extent_node *node)
{
	const char *wrong;
	if (read_block(c, block, node))
		return "cannot be read";
	wrong = efs_mb_check(node, EFS_MB_EXTENT, block, c->sb.fsid, ino);
	if (!wrong && (node->level != level || node->count == 0 || node->count > EFS_NODE_EXTENTS))
		wrong = "impossible extent node";
	return wrong;
}

/* Claim an extent, or the node that an entry points at. A checksum and an owner say that a node is this inode's, so it is
 * used although somebody else has claimed its block; of data nobody knows whose it is, so both get it (I2).
 * Returns NULL, or what is wrong. */
static const char *
extent_claim(struct check *c, struct efs_extent *e, unsigned level)
{
	if (blocks_claim(c, e->block, level ? 1 : e->len))
		return NULL;
	if (level == 0)
		e->block |= CONTESTED;
	else if (c->contested++ >= c->sb.blocks)
		e->len = 0;
	return "block belongs to something else already";
}

/* Collect the good extents of a (sub)tree into `x` and claim them; those that cannot be claimed are CONTESTED.
 * Count the nodes in *nodes. Returns false if anything was wrong (said so). */
static bool
extents_collect(struct check *c, uint32_t ino, const struct efs_extent *entry, unsigned count, unsigned level,
    uint64_t lo, uint64_t hi, struct extents *x, uint64_t *nodes)
{
	bool good = true;
	for (unsigned i = 0; i < count; i++) {
		struct efs_extent e = entry[i];
		struct efs_extent_node node;
		uint64_t end = level && i + 1 < count ? entry[i + 1].logical : hi;
		const char *wrong = efs_extents_check(&c->sb, &e, 1, level, lo, end);
		if (!wrong && level)
			wrong = node_read(c, ino, e.block, level - 1, &node);
		if (wrong) {
			problem(c, "inode %u: extent at %llu: %s", ino, (unsigned long long)e.block, wrong);
			good = false;
			continue;
		}
		lo = e.logical + (level ? 0 : e.len);
		e.len = level ? 1 : e.len;
		wrong = extent_claim(c, &e, level);
		if (wrong) {
			problem(c, "inode %u: %s", ino, wrong);
			good = false;
		}
		if (level == 0) {
			extents_push(x, e);
		} else if (e.len) {
			(*nodes)++;
			if (!extents_collect(c, ino, node.extents, node.count, level - 1, lo, end, x, nodes))
				good = false;
		}
	}
	return good;
}

/* One block of a contested extent: the block itself if nobody wants it after all, else a copy. 0: no room, or cannot be read. */
static uint64_t
block_for_second(struct check *c, uint64_t block)
{
	char data[EFS_BLOCK];
	uint64_t copy;
	if (blocks_claim(c, block, 1))
		return block;
	if (read_block(c, block, data) || !(copy = block_take(c)))
		return 0;
	write_block(c, copy, data);
	return copy;
}

/* Give an inode blocks of its own for what is CONTESTED in `x`. All good blocks are claimed by now. */
static void
contested_settle(struct check *c, struct extents *x)
{
	struct extents own = { NULL, 0 };
	for (size_t i = 0; i < x->n; i++) {
		struct efs_extent e = x->e[i];
		bool contested = e.block & CONTESTED;
		e.block &= ~CONTESTED;
		if (!contested)
			extents_push(&own, e);
		for (uint32_t k = 0; contested && k < e.len; k++) {
			uint64_t block = block_for_second(c, e.block + k);
			struct efs_extent *last = own.n ? &own.e[own.n - 1] : NULL;
			if (last && block && last->logical + last->len == e.logical + k && last->block + last->len == block)
				last->len++;
			else if (block)
				extents_push(&own, (struct efs_extent){ .logical = e.logical + k, .len = 1, .block = block });
		}
	}
	free(x->e);
	*x = own;
}

/* One level of nodes above the entries of `x`; `x` becomes the entries that point at them. False: no room. */
static bool
nodes_build(struct check *c, uint32_t ino, struct extents *x, unsigned level, uint64_t *nodes)
{
	struct extents up = { NULL, 0 };
	for (size_t i = 0; i < x->n; i += EFS_NODE_EXTENTS) {
		struct efs_extent_node node;
		size_t n = x->n - i < EFS_NODE_EXTENTS ? x->n - i : EFS_NODE_EXTENTS;
		uint64_t block = block_take(c);
		if (!block) {
			free(up.e);
			return false;
		}
		efs_mb_init(&node, EFS_MB_EXTENT, block, c->sb.fsid, ino);
		node.level = (uint16_t)level;
		node.count = (uint16_t)n;
		memcpy(node.extents, x->e + i, n * sizeof(*x->e));
		efs_mb_seal(&node);
		write_block(c, block, &node);
		extents_push(&up, (struct efs_extent){ .logical = x->e[i].logical, .block = block });
		(*nodes)++;
	}
	free(x->e);
	*x = up;
	return true;
}

/* Make the collected extents of inode `ino` its extents again (mending). All good blocks are claimed by
 * now. */
static void
extents_rebuild(struct check *c, uint32_t ino)
{
	struct efs_inode *di = inode_at(c, ino);
	struct extents x = { NULL, 0 };
	unsigned level = 0;
	uint64_t blocks = 0, nodes = 0;
	bool room = true;
	contested_settle(c, &c->st[ino].x);
	for (size_t i = 0; i < c->st[ino].x.n; i++) {
		extents_push(&x, c->st[ino].x.e[i]);
		blocks += x.e[i].len;
	}
	while (x.n > EFS_INODE_EXTENTS && room)
		room = nodes_build(c, ino, &x, level++, &nodes);
	if (!room)
		x.n = level = 0, blocks = nodes = 0;
	di->level = (uint16_t)level;
	di->count = (uint16_t)x.n;
	if (x.n > 0)
		memcpy(di->extents, x.e, x.n * sizeof(*x.e));
	di->blocks = blocks + nodes;
	inode_dirty(c, ino);
	free(x.e);
}

/* A directory has no holes and no more size than blocks: pull its extents together. */
static void
directory_compact(struct efs_inode *di, struct extents *x)
{
	uint32_t at = 0;
	for (size_t i = 0; i < x->n; i++) {
		x->e[i].logical = at;
		at += x->e[i].len;
	}
	di->size = (uint64_t)at << EFS_BLOCK_BITS;
}

static bool
has_holes(const struct extents *x, uint64_t blocks)
{
	uint64_t at = 0;
	for (size_t i = 0; i < x->n; i++) {
		if (x->e[i].logical != at)
			return true;
		at += x->e[i].len;
	}
	return at != blocks;
}

/* A directory's blocks name their place: a copy would not be one. */
static void
contested_drop(struct extents *x)
{
	size_t n = 0;
	for (size_t i = 0; i < x->n; i++)
		if (!(x->e[i].block & CONTESTED))
			x->e[n++] = x->e[i];
	x->n = n;
}

/* Check the extents of an inode, claim its blocks, rebuild the tree if it is wrong. */
static void
inode_extents_check(struct check *c, uint32_t ino)
{
	struct efs_inode *di = inode_at(c, ino);
	struct extents x = { NULL, 0 };
	uint64_t nodes = 0, blocks = 0;
	uint32_t type = di->mode & EFS_IFMT;
	unsigned count = di->count > EFS_INODE_EXTENTS ? 0 : di->count;
	bool good = count == di->count && di->level <= EFS_MAX_LEVEL && (di->level == 0 || count > 0);
	if (!good)
		problem(c, "inode %u: impossible extent tree", ino);
	if (good)
		good = extents_collect(c, ino, di->extents, count, di->level, 0, efs_size_blocks(di->size), &x, &nodes);
	if (type == EFS_IFDIR)
		contested_drop(&x);
	for (size_t i = 0; i < x.n; i++)
		blocks += x.e[i].len;
	if (type == EFS_IFDIR && has_holes(&x, efs_size_blocks(di->size))) {
		problem(c, "inode %u: directory with holes", ino);
		good = false;
	}
	if (type == EFS_IFLNK && has_holes(&x, efs_size_blocks(di->size))) {
		if (problem(c, "inode %u: symlink without its target", ino))
			inode_clear(c, ino);
		c->st[ino].used = false;
		free(x.e);
		return;
	}
	if (good && di->blocks != blocks + nodes) {
		if (problem(c, "inode %u: block count is %llu, should be %llu", ino, (unsigned long long)di->blocks,
		    (unsigned long long)(blocks + nodes))) {
			di->blocks = blocks + nodes;
			inode_dirty(c, ino);
		}
	}
	if (type == EFS_IFDIR && !good && c->mend)
		directory_compact(di, &x);
	c->st[ino].rebuild = !good && c->mend;
	if (type == EFS_IFDIR || c->st[ino].rebuild)
		c->st[ino].x = x;
	else
		free(x.e);
}

/* ---- inodes --------------------------------------------------------------------------------------- */

/* Mend what can be mended in an inode by itself. */
static void
inode_fields_mend(struct efs_inode *di, const struct efs_super *sb)
{
	di->atime_ns %= 1000000000;
	di->mtime_ns %= 1000000000;
	di->ctime_ns %= 1000000000;
	di->btime_ns %= 1000000000;
	di->mode &= 0177777;
	if (di->next_orphan > sb->h.total_inodes)
		di->next_orphan = 0;
	if ((di->mode & EFS_IFMT) == EFS_IFDIR)
		di->size &= ~(uint64_t)(EFS_BLOCK - 1);
	if (di->size > EFS_MAX_SIZE)
		di->size = EFS_MAX_SIZE & ~(uint64_t)(EFS_BLOCK - 1);
	if ((di->mode & EFS_IFMT) != EFS_IFLNK)
		di->flags &= ~(uint32_t)EFS_INODE_INLINE;
	if (di->flags & EFS_INODE_INLINE)
		di->count = di->level = 0;
}

/* What efs_inode_check() says, but extents are looked at one by one elsewhere. */
static const char *
inode_fields_check(const struct check *c, const struct efs_inode *di)
{
	struct efs_inode copy = *di;
	uint32_t type = copy.mode & EFS_IFMT;
	if (!(copy.flags & EFS_INODE_INLINE) && (type == EFS_IFREG || type == EFS_IFDIR || type == EFS_IFLNK))
		copy.count = copy.level = 0;
	return efs_inode_check(&c->sb, &copy);
}

/* Check inode `ino`, which the map says is in use. */
static void
inode_check(struct check *c, uint32_t ino)
{
	struct efs_inode *di = inode_at(c, ino);
	if (!di || di->mode == 0) {
		problem(c, "inode %u: in use in the map, but free", ino);
		c->st[ino].used = false;
		return;
	}
	const char *wrong = inode_fields_check(c, di);
	if (wrong) {
		bool mend = problem(c, "inode %u: %s", ino, wrong);
		if (mend) {
			inode_fields_mend(di, &c->sb);
			inode_dirty(c, ino);
		}
		if (!mend || inode_fields_check(c, di)) {
			if (mend)
				inode_clear(c, ino);
			c->st[ino].used = false;
			return;
		}
	}
	if (di->nlink == 0)
		c->st[ino].orphan = true;
	if (!(di->flags & EFS_INODE_INLINE))
		inode_extents_check(c, ino);
}

/* Read inode-table block `k` if any of its inodes is in use, and see which are. `known`: the map can be
 * believed. */
static void
table_block_read(struct check *c, uint64_t k, bool known)
{
	uint32_t first = (uint32_t)(k * EFS_INODES_PER_BLOCK + 1);
	uint64_t block = c->sb.itable_start + k;
	bool any = false;
	for (uint32_t ino = first; ino < first + EFS_INODES_PER_BLOCK && ino <= c->sb.h.total_inodes; ino++)
		any |= c->st[ino].used;
	if (!any && known)
		return;
	struct efs_inode_block *ib = xalloc(sizeof(*ib));
	const char *wrong = read_block(c, block, ib) ? "cannot be read"
	    : efs_mb_check(ib, EFS_MB_INODES, block, c->sb.fsid, 0);
	if (!wrong) {
		c->table[k] = ib;
	} else if (known) {
		bool ours = ib->mb.magic == EFS_MB_INODES && ib->mb.block == block && ib->mb.fsid == c->sb.fsid;
		problem(c, "inode table block %llu: %s", (unsigned long long)k, wrong);
		if (!ours)
			efs_mb_init(ib, EFS_MB_INODES, block, c->sb.fsid, 0);
		ib->mb.owner = 0;
		c->table[k] = ib;
		c->table_dirty[k] = true;
	} else {
		free(ib);
		return;
	}
	for (uint32_t i = 0; i < EFS_INODES_PER_BLOCK && first + i <= c->sb.h.total_inodes; i++) {
		uint32_t ino = first + i;
		if (!c->st[ino].used && ib->inodes[i].mode != 0) {
			if (known)
				problem(c, "inode %u: in use, but free in the map", ino);
			c->st[ino].used = true;
		}
		if (!known && ib->inodes[i].mode == 0)
			c->st[ino].used = false;
	}
}

/* Read the inode map and the inode table. */
static void
inodes_read(struct check *c)
{
	struct efs_bitmap map;
	for (uint64_t k = 0; k < c->sb.imap_blocks; k++) {
		uint64_t block = c->sb.imap_start + k;
		const char *wrong = read_block(c, block, &map) ? "cannot be read"
		    : efs_mb_check(&map, EFS_MB_IMAP, block, c->sb.fsid, 0);
		if (wrong)
			problem(c, "inode map block %llu: %s", (unsigned long long)k, wrong);
		uint64_t first = k * EFS_MAP_BITS + 1;
		uint64_t last = first + EFS_MAP_BITS - 1;
		if (last > c->sb.h.total_inodes)
			last = c->sb.h.total_inodes;
		for (uint64_t ino = first; ino <= last && !wrong; ino++)
			c->st[ino].used = map.bits[(ino - first) / 64] >> (ino - first) % 64 & 1;
		uint64_t t = k * EFS_MAP_BITS / EFS_INODES_PER_BLOCK;
		for (; t * EFS_INODES_PER_BLOCK < last; t++)
			table_block_read(c, t, !wrong);
	}
}

/* Make an empty root directory where there is none. */
static void
root_mend(struct check *c)
{
	if (is_dir(c, EFS_ROOT_INO))
		return;
	if (!problem(c, "no root directory"))
		return;
	if (!c->table[0]) {
		c->table[0] = xalloc(sizeof(struct efs_inode_block));
		efs_mb_init(c->table[0], EFS_MB_INODES, c->sb.itable_start, c->sb.fsid, 0);
	}
	struct efs_inode *di = c->table[0]->inodes;
	memset(di, 0, sizeof(*di));
	di->mode = EFS_IFDIR | 0755;
	di->nlink = 2;
	di->parent = EFS_ROOT_INO;
	di->mtime = di->ctime = di->atime = di->btime = (int64_t)time(NULL);
	di->generation = 1;
	c->st[EFS_ROOT_INO].used = true;
	inode_dirty(c, EFS_ROOT_INO);
}

static void
inodes_check(struct check *c)
{
	inodes_read(c);
	for (uint64_t ino = 1; ino <= c->sb.h.total_inodes; ino++)
		if (c->st[ino].used)
			inode_check(c, (uint32_t)ino);
	for (uint64_t ino = 1; ino <= c->sb.h.total_inodes; ino++)
		if (c->st[ino].used && c->st[ino].rebuild)
			extents_rebuild(c, (uint32_t)ino);
	root_mend(c);
}

/* ---- directories ---------------------------------------------------------------------------------- */

struct name_seen { uint32_t hash, block, off; };

struct dir_check {
	struct check *c;
	uint32_t ino;
	uint8_t *data;			/* all its blocks, one after the other */
	struct name_seen *names;
	size_t n;
};

/* The blocks of a directory on the disk, in order; *n of them. The caller frees. */
static uint64_t *
blocks_list(struct check *c, uint32_t ino, size_t *n)
{
	const struct extents *x = &c->st[ino].x;
	uint64_t *list = NULL;
	*n = 0;
	for (size_t i = 0; i < x->n; i++) {
		list = xgrow(list, (*n + x->e[i].len) * sizeof(*list));
		for (uint32_t b = 0; b < x->e[i].len; b++)
			list[(*n)++] = x->e[i].block + b;
	}
	return list;
}

/* Make a damaged directory block walkable: keep the records up to the first bad one, free the rest. */
static void
dir_block_salvage(struct check *c, uint8_t *data, uint64_t block, uint32_t ino)
{
	const struct efs_mb *mb = (const struct efs_mb *)data;
	uint32_t off = EFS_DIR_FIRST;
	if (mb->magic != EFS_MB_DIR || mb->owner != ino || mb->fsid != c->sb.fsid)
		memset(data + EFS_DIR_FIRST, 0, EFS_BLOCK - EFS_DIR_FIRST);
	struct efs_mb head = { .magic = EFS_MB_DIR, .block = block, .fsid = c->sb.fsid, .owner = ino };
	memcpy(data, &head, sizeof(head));
	while (off < EFS_BLOCK) {
		struct efs_dirent *de = (struct efs_dirent *)(data + off);
		uint32_t left = EFS_BLOCK - off;
		if (left < EFS_DIRENT_MIN || de->reclen < EFS_DIRENT_MIN || de->reclen % 4 || de->reclen > left
		    || left - de->reclen - 1 < EFS_DIRENT_MIN - 1) {
			memset(de, 0, left);
			de->reclen = (uint16_t)left;
		} else if (de->ino && (12u + de->namelen > de->reclen || !efs_name_ok(de->name, de->namelen))) {
			de->ino = 0;
		}
		off += de->reclen;
	}
}

/* What is wrong with a name's inode number and type, or NULL. */
static const char *
entry_wrong(struct check *c, uint32_t dir, const struct efs_dirent *de)
{
	if (de->ino > c->sb.h.total_inodes || !c->st[de->ino].used)
		return "leads to an inode that is not there";
	if (de->ino == EFS_ROOT_INO || de->ino == dir)
		return "leads back to the root or itself";
	if (is_dir(c, de->ino) && c->st[de->ino].parent)
		return "second name of a directory";
	return NULL;
}

static void
entry_count(struct check *c, uint32_t dir, const struct efs_dirent *de)
{
	c->st[de->ino].refs++;
	if (!is_dir(c, de->ino))
		return;
	c->st[de->ino].parent = dir;
	c->st[dir].subdirs++;
}

/* Check the names in one block; returns whether it was changed. */
static bool
dir_block_names(struct dir_check *d, uint32_t index)
{
	struct check *c = d->c;
	uint8_t *data = d->data + (size_t)index * EFS_BLOCK;
	uint32_t off = EFS_DIR_FIRST;
	bool changed = false;
	for (struct efs_dirent *de; (de = efs_dirent_next(data, &off)) != NULL;) {
		if (!de->ino)
			continue;
		const char *wrong = entry_wrong(c, d->ino, de);
		if (wrong) {
			changed |= problem(c, "inode %u: name '%.*s' %s", d->ino, de->namelen, (const char *)de->name, wrong);
			if (c->mend) {
				memset(&de->ino, 0, 8);
				de->namelen = de->type = 0;
			}
			continue;
		}
		uint32_t hash = efs_name_hash(de->name, de->namelen);
		uint8_t type = (uint8_t)(inode_at(c, de->ino)->mode >> 12 & 15);
		if (de->hash != hash || de->type != type) {
			changed |= problem(c, "inode %u: name '%.*s' with a wrong %s", d->ino, de->namelen, (const char *)de->name,
			    de->hash != hash ? "hash" : "type");
			if (c->mend) {
				de->hash = hash;
				de->type = type;
			}
		}
		entry_count(c, d->ino, de);
		if ((d->n & (d->n - 1)) == 0)
			d->names = xgrow(d->names, (d->n ? 2 * d->n : 1) * sizeof(*d->names));
		d->names[d->n++] = (struct name_seen){ hash, index, (uint32_t)((uint8_t *)de - data) };
	}
	return changed;
}

static int
seen_compare(const void *a, const void *b)
{
	const struct name_seen *x = a, *y = b;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

static struct efs_dirent *
seen_entry(struct dir_check *d, const struct name_seen *s)
{
	return (struct efs_dirent *)(d->data + (size_t)s->block * EFS_BLOCK + s->off);
}

/* Names that occur twice: the later ones go. */
static void
duplicates_check(struct dir_check *d, bool *changed)
{
	if (d->n > 1)
		qsort(d->names, d->n, sizeof(*d->names), seen_compare);
	for (size_t i = 1; i < d->n; i++) {
		struct efs_dirent *de = seen_entry(d, &d->names[i]);
		for (size_t j = i; j > 0 && de->ino && d->names[j - 1].hash == d->names[i].hash && i - j < 64; j--) {
			const struct efs_dirent *first = seen_entry(d, &d->names[j - 1]);
			if (!first->ino || first->namelen != de->namelen || memcmp(first->name, de->name, de->namelen) != 0)
				continue;
			if (problem(d->c, "inode %u: name '%.*s' twice", d->ino, de->namelen, (const char *)de->name)) {
				memset(&de->ino, 0, 8);
				de->namelen = de->type = 0;
				changed[d->names[i].block] = true;
			}
			break;
		}
	}
}

static void
directory_check(struct check *c, uint32_t ino)
{
	struct dir_check d = { .c = c, .ino = ino };
	size_t n;
	uint64_t *list = blocks_list(c, ino, &n);
	d.data = xalloc(n * EFS_BLOCK);
	bool *changed = xalloc(n);
	for (size_t i = 0; i < n; i++) {
		uint8_t *data = d.data + i * EFS_BLOCK;
		const char *wrong = read_block(c, list[i], data) ? "cannot be read"
		    : efs_mb_check(data, EFS_MB_DIR, list[i], c->sb.fsid, ino);
		if (!wrong)
			wrong = efs_dir_check(data);
		if (wrong) {
			changed[i] = problem(c, "inode %u: directory block %zu: %s", ino, i, wrong);
			dir_block_salvage(c, data, list[i], ino);
		}
		changed[i] |= dir_block_names(&d, (uint32_t)i);
	}
	duplicates_check(&d, changed);
	for (size_t i = 0; i < n; i++) {
		if (!changed[i])
			continue;
		efs_mb_seal(d.data + i * EFS_BLOCK);
		write_block(c, list[i], d.data + i * EFS_BLOCK);
	}
	free(d.data);
	free(d.names);
	free(changed);
	free(list);
}

/* ---- putting things back: lost+found -------------------------------------------------------------- */

/* Put a name into the free space of one directory block. */
static bool
block_insert(uint8_t *data, const char *name, uint32_t ino, uint32_t mode)
{
	uint32_t off = EFS_DIR_FIRST, need = EFS_DIRENT_SIZE((uint32_t)strlen(name));
	for (struct efs_dirent *de; (de = efs_dirent_next(data, &off)) != NULL;) {
		if (de->ino || de->reclen < need)
			continue;
		uint32_t rest = de->reclen - need;
		if (rest >= EFS_DIRENT_MIN) {
			struct efs_dirent *next = (struct efs_dirent *)((uint8_t *)de + need);
			memset(next, 0, sizeof(*next));
			next->reclen = (uint16_t)rest;
			de->reclen = (uint16_t)need;
		}
		de->ino = ino;
		de->namelen = (uint8_t)strlen(name);
		de->type = (uint8_t)(mode >> 12 & 15);
		de->hash = efs_name_hash(name, de->namelen);
		memcpy(de->name, name, de->namelen);
		return true;
	}
	return false;
}

/* Put a name into directory `dir`, growing it by a block when it is full. False: no room. */
static bool
dir_insert(struct check *c, uint32_t dir, const char *name, uint32_t ino, uint32_t mode)
{
	struct efs_inode *di = inode_at(c, dir);
	uint8_t data[EFS_BLOCK] __attribute__((aligned(8)));
	size_t n;
	uint64_t *list = blocks_list(c, dir, &n);
	bool done = false;
	for (size_t i = n; i > 0 && !done; i--) {
		if (read_block(c, list[i - 1], data) || efs_mb_check(data, EFS_MB_DIR, list[i - 1], c->sb.fsid, dir)
		    || efs_dir_check(data) || !block_insert(data, name, ino, mode))
			continue;
		efs_mb_seal(data);
		write_block(c, list[i - 1], data);
		done = true;
	}
	uint64_t block = done ? 0 : block_take(c);
	if (block) {
		extents_push(&c->st[dir].x, (struct efs_extent){ .logical = (uint32_t)n, .len = 1, .block = block });
		efs_mb_init(data, EFS_MB_DIR, block, c->sb.fsid, dir);
		((struct efs_dirent *)(data + EFS_DIR_FIRST))->reclen = EFS_BLOCK - EFS_DIR_FIRST;
		done = block_insert(data, name, ino, mode);
		efs_mb_seal(data);
		write_block(c, block, data);
		di->size = (uint64_t)(n + 1) << EFS_BLOCK_BITS;
		extents_rebuild(c, dir);
	}
	free(list);
	return done;
}

static uint32_t
inode_take(struct check *c)
{
	for (uint32_t ino = 2; ino <= c->sb.h.total_inodes; ino++) {
		uint64_t k = (ino - 1) / EFS_INODES_PER_BLOCK;
		if (c->st[ino].used || c->st[ino].orphan)
			continue;
		if (!c->table[k]) {
			c->table[k] = xalloc(sizeof(struct efs_inode_block));
			efs_mb_init(c->table[k], EFS_MB_INODES, c->sb.itable_start + k, c->sb.fsid, 0);
		}
		return ino;
	}
	return 0;
}

/* The directory /lost+found, made when it is not there; 0: no room. */
static uint32_t
lost_found(struct check *c)
{
	static const char name[] = "lost+found";
	size_t n;
	uint64_t *list = blocks_list(c, EFS_ROOT_INO, &n);
	uint8_t data[EFS_BLOCK] __attribute__((aligned(8)));
	uint32_t found = 0;
	for (size_t i = 0; i < n && !found; i++) {
		uint32_t off = EFS_DIR_FIRST;
		if (read_block(c, list[i], data) || efs_dir_check(data))
			continue;
		for (struct efs_dirent *de; !found && (de = efs_dirent_next(data, &off)) != NULL;)
			if (de->ino && de->namelen == sizeof(name) - 1 && memcmp(de->name, name, de->namelen) == 0)
				found = de->ino;
	}
	free(list);
	if (found)
		return found <= c->sb.h.total_inodes && is_dir(c, found) ? found : 0;
	uint32_t ino = inode_take(c);
	if (!ino || !dir_insert(c, EFS_ROOT_INO, name, ino, EFS_IFDIR))
		return 0;
	struct efs_inode *di = inode_at(c, ino);
	*di = (struct efs_inode){
		.mode = EFS_IFDIR | 0700, .nlink = 2, .parent = EFS_ROOT_INO, .generation = di->generation + 1,
	};
	di->atime = di->mtime = di->ctime = di->btime = (int64_t)time(NULL);
	c->st[ino] = (struct inode_state){ .used = true, .refs = 1, .parent = EFS_ROOT_INO, .reached = true };
	c->st[EFS_ROOT_INO].subdirs++;
	inode_dirty(c, ino);
	return ino;
}

/* Give an inode that no name leads to the name #NUMBER in lost+found. */
static void
reconnect(struct check *c, uint32_t ino)
{
	char name[16];
	struct inode_state *st = &c->st[ino];
	if (!problem(c, "inode %u: no name leads to it", ino))
		return;
	uint32_t lf = lost_found(c);
	snprintf(name, sizeof(name), "#%u", ino);
	if (!lf || lf == ino || !dir_insert(c, lf, name, ino, inode_at(c, ino)->mode)) {
		inode_clear(c, ino);
		return;
	}
	st->refs++;
	st->orphan = false;
	if (is_dir(c, ino)) {
		st->parent = lf;
		c->st[lf].subdirs++;
	}
}

/* ---- reachability, links, orphans ----------------------------------------------------------------- */

/* Walk up from every directory; a chain that does not end at the root is cut loose from lost+found's side. */
static void
directories_connect(struct check *c)
{
	uint32_t *chain = NULL;
	size_t n = 0;
	c->st[EFS_ROOT_INO].reached = true;
	for (uint32_t ino = 1; ino <= c->sb.h.total_inodes && ino != 0; ino++) {
		if (!is_dir(c, ino) || c->st[ino].reached || c->st[ino].orphan)
			continue;
		uint32_t at = ino;
		for (n = 0; at && !c->st[at].reached; at = c->st[at].parent) {
			if ((n & (n - 1)) == 0)
				chain = xgrow(chain, (n ? 2 * n : 1) * sizeof(*chain));
			chain[n++] = at;
			c->st[at].reached = true;
		}
		/* at == 0: the last of the chain has no parent. at in the chain: a loop; its last has a name within it. */
		bool loop = false;
		for (size_t i = 0; i < n; i++)
			loop |= chain[i] == at;
		if (loop && problem(c, "inode %u: directories in a circle", at)) {
			inode_clear(c, chain[n - 1]);
		} else if (at == 0) {
			reconnect(c, chain[n - 1]);
		}
	}
	free(chain);
}

/* The orphan list: everything on it has no name; everything without links is on it. */
static void
orphans_check(struct check *c)
{
	uint64_t steps = 0, waiting = 0;
	bool good = true;
	for (uint32_t ino = c->sb.orphans; ino && good; steps++) {
		struct efs_inode *di = ino <= c->sb.h.total_inodes && c->st[ino].used ? inode_at(c, ino) : NULL;
		good = di && c->st[ino].orphan && steps <= c->sb.h.total_inodes;
		if (good)
			ino = di->next_orphan;
	}
	for (uint64_t ino = 1; ino <= c->sb.h.total_inodes; ino++)
		waiting += c->st[ino].used && c->st[ino].orphan;
	if (!good || steps != waiting)
		problem(c, "the orphan list is wrong");
	else if (waiting && c->mend)
		problem(c, "%llu inode%s waiting to be freed", (unsigned long long)waiting, waiting == 1 ? "" : "s");
	else if (waiting)
		printf("note: %llu inode%s waiting to be freed\n", (unsigned long long)waiting, waiting == 1 ? "" : "s");
	if (!c->mend || (!waiting && !c->sb.orphans))
		return;
	for (uint32_t ino = 1; ino <= c->sb.h.total_inodes && ino; ino++)
		if (c->st[ino].used && c->st[ino].orphan)
			inode_clear(c, ino);
	c->sb.orphans = 0;
}

/* Link counts and parents. */
static void
links_check(struct check *c, uint32_t ino)
{
	struct efs_inode *di = inode_at(c, ino);
	struct inode_state *st = &c->st[ino];
	bool dir = is_dir(c, ino);
	if (st->orphan && st->refs == 0)
		return;
	st->orphan = false;
	if (!dir && st->refs == 0) {
		reconnect(c, ino);
		if (!st->used || st->refs == 0)
			return;
	}
	uint32_t nlink = dir ? 2 + st->subdirs : st->refs;
	uint32_t parent = !dir ? 0 : ino == EFS_ROOT_INO ? EFS_ROOT_INO : st->parent;
	if (di->nlink != nlink && problem(c, "inode %u: link count is %u, should be %u", ino, di->nlink, nlink)) {
		di->nlink = nlink;
		inode_dirty(c, ino);
	}
	if (di->parent != parent && problem(c, "inode %u: parent is %u, should be %u", ino, di->parent, parent)) {
		di->parent = parent;
		inode_dirty(c, ino);
	}
	if (di->next_orphan && problem(c, "inode %u: on the orphan list, but it has names", ino)) {
		di->next_orphan = 0;
		inode_dirty(c, ino);
	}
}

/* ---- maps and counts ------------------------------------------------------------------------------ */

static bool
inode_used(const struct check *c, uint64_t n)
{
	return n >= c->sb.h.total_inodes || c->st[n + 1].used;
}

static bool
map_block_used(const struct check *c, uint64_t n)
{
	return n >= c->sb.blocks || block_used(c, n);
}

/* Compare one map with what was computed. */
static void
map_check(struct check *c, const char *what, uint32_t magic, uint64_t start, uint64_t blocks,
    bool (*wanted)(const struct check *, uint64_t))
{
	struct efs_bitmap map, right;
	for (uint64_t k = 0; k < blocks; k++) {
		uint64_t missing = 0, extra = 0;
		const char *wrong = read_block(c, start + k, &map) ? "cannot be read"
		    : efs_mb_check(&map, magic, start + k, c->sb.fsid, 0);
		efs_mb_init(&right, magic, start + k, c->sb.fsid, 0);
		for (uint32_t i = 0; i < EFS_MAP_BITS; i++) {
			uint64_t bit = 1ull << i % 64;
			bool want = wanted(c, k * EFS_MAP_BITS + i), have = (map.bits[i / 64] & bit) != 0;
			right.bits[i / 64] |= want ? bit : 0;
			missing += want && !have;
			extra += have && !want;
		}
		bool mend = false;
		if (wrong && magic == EFS_MB_BMAP)
			mend = problem(c, "%s map block %llu: %s", what, (unsigned long long)k, wrong);
		else if (!wrong && (missing || extra))
			mend = problem(c, "%s map block %llu: %llu in use are marked free, %llu free are marked in use", what,
			    (unsigned long long)k, (unsigned long long)missing, (unsigned long long)extra);
		if (!mend && !(wrong && c->mend))
			continue;
		efs_mb_seal(&right);
		write_block(c, start + k, &right);
	}
}

static void
counts_check(struct check *c)
{
	uint64_t blocks = c->sb.blocks - c->used_count;
	uint32_t inodes = c->sb.h.total_inodes;
	for (uint64_t ino = 1; ino <= c->sb.h.total_inodes; ino++)
		inodes -= c->st[ino].used;
	bool exact = (c->sb.state & EFS_CLEAN) != 0;
	if (exact && (c->sb.free_blocks != blocks || c->sb.free_inodes != inodes))
		problem(c, "free blocks, inodes: %llu, %u, should be %llu, %u", (unsigned long long)c->sb.free_blocks,
		    c->sb.free_inodes, (unsigned long long)blocks, inodes);
	c->sb.free_blocks = blocks;
	c->sb.free_inodes = inodes;
}

static void
table_write(struct check *c)
{
	for (uint64_t k = 0; k < c->sb.itable_blocks; k++) {
		if (!c->table[k] || !c->table_dirty[k])
			continue;
		efs_mb_seal(c->table[k]);
		write_block(c, c->sb.itable_start + k, c->table[k]);
	}
}

/* ---- superblock and journal ----------------------------------------------------------------------- */

static void
super_write(struct check *c)
{
	c->sb.state = EFS_CLEAN;
	c->sb.h.last_check = (uint64_t)time(NULL);
	c->sb.write_time = (int64_t)c->sb.h.last_check;
	efs_super_seal(&c->sb);
	write_block(c, EFS_SUPER_BLOCK, &c->sb);
	write_block(c, EFS_BACKUP_BLOCK, &c->sb);
}

/* What is wrong with a superblock, or NULL. */
static const char *
super_wrong(const struct check *c, const struct efs_super *sb)
{
	if (memcmp(sb->h.magic, EFS_MAGIC, EFS_MAGIC_LEN) != 0)
		return "no magic";
	if (sb->h.version != EFS_VERSION_3)
		return "another version";
	return efs_super_check(sb, c->im.bytes / EFS_BLOCK);
}

/* Find the superblock, if need be its copy. Returns 0 or the exit status. */
static int
super_read(struct check *c)
{
	struct efs_super copy;
	if (block_read(&c->im, EFS_SUPER_BLOCK, &c->sb) || block_read(&c->im, EFS_BACKUP_BLOCK, &copy)) {
		complain("%s: too short for a file system", c->im.path);
		return STATUS_FAILED;
	}
	const char *wrong = super_wrong(c, &c->sb), *copy_wrong = super_wrong(c, &copy);
	if (!wrong) {
		const size_t fixed = offsetof(struct efs_super, state) - offsetof(struct efs_super, uuid);
		if (copy_wrong || memcmp(copy.uuid, c->sb.uuid, fixed))
			problem(c, "the copy of the superblock is damaged");
		return 0;
	}
	if (copy_wrong) {
		if (memcmp(c->sb.h.magic, EFS_MAGIC, EFS_MAGIC_LEN) == 0 && c->sb.h.version != EFS_VERSION_3)
			complain("%s: EclipseFS version %u.%u: only 3.0 can be checked", c->im.path, c->sb.h.version >> 16,
			    c->sb.h.version & 0xffff);
		else
			complain("%s: no EclipseFS 3.0 here (%s)", c->im.path, wrong);
		return STATUS_FAILED;
	}
	problem(c, "superblock: %s, its copy is used", wrong);
	c->sb = copy;
	c->sb.state &= ~(uint32_t)EFS_CLEAN;
	c->sb.orphans = 0;
	return 0;
}

/* Replay what the journal holds (or, not mending, see through it). The superblock may be among it. */
static void
journal_check(struct check *c)
{
	const char *wrong = log_read(&c->im, &c->sb, &c->log);
	if (wrong)
		problem(c, "journal: %s", wrong);
	if (c->log.transactions && c->mend)
		problem(c, "journal: %llu transactions to replay", (unsigned long long)c->log.transactions);
	else if (c->log.transactions)
		printf("note: journal: %llu transactions to replay\n", (unsigned long long)c->log.transactions);
	for (size_t i = 0; i < c->log.n; i++) {
		uint8_t buf[EFS_BLOCK] __attribute__((aligned(8)));
		if (block_read(&c->im, c->log.images[i].at, buf))
			continue;
		write_block(c, c->log.images[i].block, buf);
		if (c->log.images[i].block == EFS_SUPER_BLOCK && !super_wrong(c, (struct efs_super *)buf))
			memcpy(&c->sb, buf, sizeof(c->sb));
	}
	if (c->mend && (wrong || c->log.transactions)) {
		struct efs_jsuper js;
		fsync(c->im.fd);
		log_super_init(&js, &c->sb, c->log.next_seq);
		write_block(c, c->sb.journal_start, &js);
	}
}

/* ---- passes --------------------------------------------------------------------------------------- */

static void
pass_free(struct check *c)
{
	for (uint64_t ino = 1; ino <= c->sb.h.total_inodes; ino++)
		free(c->st[ino].x.e);
	for (uint64_t k = 0; k < c->sb.itable_blocks; k++)
		free(c->table[k]);
	free(c->table);
	free(c->table_dirty);
	free(c->st);
	free(c->used);
}

/* One whole check of everything but superblock and journal. */
static void
pass_run(struct check *c)
{
	c->used = xalloc((size_t)(c->sb.blocks / 64 + 1) * 8);
	c->st = xalloc(((size_t)c->sb.h.total_inodes + 1) * sizeof(*c->st));
	c->table = xalloc((size_t)c->sb.itable_blocks * sizeof(*c->table));
	c->table_dirty = xalloc((size_t)c->sb.itable_blocks * sizeof(*c->table_dirty));
	c->used_count = c->contested = 0;
	blocks_claim(c, 0, c->sb.data_start);
	inodes_check(c);
	for (uint64_t ino = 1; ino <= c->sb.h.total_inodes; ino++)
		if (is_dir(c, (uint32_t)ino))
			directory_check(c, (uint32_t)ino);
	directories_connect(c);
	for (uint64_t ino = 1; ino <= c->sb.h.total_inodes; ino++)
		if (c->st[ino].used)
			links_check(c, (uint32_t)ino);
	orphans_check(c);
	map_check(c, "block", EFS_MB_BMAP, c->sb.bmap_start, c->sb.bmap_blocks, map_block_used);
	map_check(c, "inode", EFS_MB_IMAP, c->sb.imap_start, c->sb.imap_blocks, inode_used);
	counts_check(c);
	if (c->mend)
		table_write(c);
	pass_free(c);
}

static int
check_run(struct check *c)
{
	int status = super_read(c);
	if (status)
		return status;
	journal_check(c);
	bool was_clean = (c->sb.state & EFS_CLEAN) && !(c->sb.state & EFS_ERRORS);
	if (!was_clean)
		printf("note: %s\n", c->sb.state & EFS_ERRORS ? "the kernel saw damage" : "not unmounted in order");
	unsigned total = c->problems, pass = 0;
	do {
		c->problems = 0;
		pass_run(c);
		total += c->problems;
		if (c->problems && c->mend)
			c->sb.state &= ~(uint32_t)EFS_CLEAN;
	} while (c->mend && c->problems && ++pass < PASSES_MAX);
	if (c->mend && (total || !was_clean))
		super_write(c);
	if (c->mend && total && fsync(c->im.fd) != 0)
		c->write_failed = true;
	printf("%s: %llu of %llu blocks and %u of %u inodes in use: ", c->im.path,
	    (unsigned long long)(c->sb.blocks - c->sb.free_blocks), (unsigned long long)c->sb.blocks,
	    c->sb.h.total_inodes - c->sb.free_inodes, c->sb.h.total_inodes);
	if (total == 0)
		puts("clean");
	else if (c->mend && c->problems == 0 && !c->write_failed)
		puts("mended");
	else
		puts("BROKEN");
	if (total == 0)
		return STATUS_CLEAN;
	return c->mend && c->problems == 0 && !c->write_failed ? STATUS_MENDED : STATUS_BROKEN;
}

static _Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: fsck.eclipsefs [-n|-y] [--offset BYTES] IMAGE\n"
	    "  -n  change nothing (the default)\n"
	    "  -y  mend what is wrong\n"
	    "exit status: 0 clean, 1 mended, 4 left broken, 8 could not run\n");
	exit(STATUS_FAILED);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = { { "offset", 1, NULL, 'o' }, { NULL, 0, NULL, 0 } };
	struct check *c = xalloc(sizeof(*c));
	uint64_t offset = OFFSET_UNKNOWN;
	tool_name = "fsck.eclipsefs";
	for (int o; (o = getopt_long(argc, argv, "nypafv", longs, NULL)) != -1;) {
		if (o == 'n')
			c->mend = false;
		else if (o == 'y' || o == 'p' || o == 'a')
			c->mend = true;
		else if (o == 'o' && size_parse(optarg, &offset))
			continue;
		else if (o != 'f' && o != 'v')
			usage();
	}
	if (optind != argc - 1)
		usage();
	int err = image_open(&c->im, argv[optind], c->mend ? O_RDWR : O_RDONLY, offset, IMAGE_FILESYSTEM);
	if (err) {
		complain("%s: %s", argv[optind], strerror(-err));
		return STATUS_FAILED;
	}
	int status = check_run(c);
	close(c->im.fd);
	free(c->log.images);
	free(c);
	return status;
}
