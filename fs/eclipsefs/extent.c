/* extent.c - which blocks of the disk hold which blocks of a file: the extent tree.            (lab 8)
 *
 * Idea.       A B-tree whose top is the inode (9 entries) and whose other nodes are blocks (253 entries).
 *             Most files never leave the inode.
 *
 *                 inode  level 1 [ 0 | 5000 ]              entry: first logical block, node
 *                           /        \
 *                 level 0 [0,8 8,100 ...] [5000,3 ...]     entry: logical, length, place on the disk
 *
 *             Insertion goes down once and splits every full node on the way, so there is always room
 *             above. Only truncation removes, from the right.
 * Interface.  efs_extent_map, efs_extent_add, efs_extent_cut.
 * Invariants. I1 FORMAT.md section 5. I2 going down, the level falls by one each time: any tree, however
 *             damaged, ends.
 * Locks.      fs->lock.
 */
#include "fs/eclipsefs/efs.h"

#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* One node on the way: the inode's own entries (b NULL) or a block's. */
struct enode {
	struct ebuf *b;
	struct efs_extent *e;
	uint16_t *count, *level;
	unsigned room;
};

static void
root_node(struct einode *ei, struct enode *out)
{
	*out = (struct enode){ NULL, ei->di.extents, &ei->di.count, &ei->di.level, EFS_INODE_EXTENTS };
}

static void
block_node(struct ebuf *b, struct enode *out)
{
	struct efs_extent_node *n = (struct efs_extent_node *)b->data;
	*out = (struct enode){ b, n->extents, &n->count, &n->level, EFS_NODE_EXTENTS };
}

static void
node_put(struct efs *fs, struct enode *n)
{
	if (n->b)
		efs_buf_put(fs, n->b);
	n->b = NULL;
}

static void
node_dirty(struct efs *fs, struct einode *ei, struct enode *n)
{
	ei->changed = true;
	if (n->b)
		efs_buf_dirty(fs, n->b);
}

/* The node below entry i of `up`. Its level must be one less (I2). */
static int
node_below(struct efs *fs, struct einode *ei, const struct enode *up, unsigned i, struct enode *out)
{
	struct ebuf *b;
	int err = efs_buf_get(fs, up->e[i].block, EFS_MB_EXTENT, ei->ip->ino, &b);

	if (err)
		return err;
	block_node(b, out);
	if (*out->level + 1 == *up->level)
		return 0;
	node_put(fs, out);
	return efs_damage(fs, "inode %lu: extent node of the wrong level", ei->ip->ino);
}

/* Go down to the leaf for `logical`; *i is its last entry not after it (-1: none); *end: where the leaf's
 * part ends. */
static int
leaf_find(struct efs *fs, struct einode *ei, uint32_t logical, struct enode *leaf, int *i, uint64_t *end)
{
	root_node(ei, leaf);
	*end = 1ul << 32;
	for (;;) {
		*i = efs_extent_search(leaf->e, *leaf->count, logical);
		if (*i + 1 < *leaf->count)
			*end = leaf->e[*i + 1].logical;
		if (*leaf->level == 0 || *i < 0)
			return 0;
		struct enode next;
		int err = node_below(fs, ei, leaf, *i, &next);
		node_put(fs, leaf);
		if (err)
			return err;
		*leaf = next;
	}
}

/* Where block `logical` of the file is.
 *
 * Requires: fs->lock.
 * Returns:  0: *block on the disk, and *len blocks from there on belong together; *block 0: a hole of at
 *           least *len blocks. -EIO, -ENOMEM. May sleep.
 */
int
efs_extent_map(struct efs *fs, struct einode *ei, uint32_t logical, uint64_t *block, uint32_t *len)
{
	struct efs_extent *last = &ei->last;
	struct enode leaf;
	uint64_t end;
	int i;

	if (logical - last->logical >= last->len) {
		int err = leaf_find(fs, ei, logical, &leaf, &i, &end);
		if (err)
			return err;
		if (*leaf.level > 0 || i < 0 || logical - leaf.e[i].logical >= leaf.e[i].len) {
			node_put(fs, &leaf);
			*block = 0;
			*len = end - logical < UINT32_MAX ? end - logical : UINT32_MAX;
			return 0;
		}
		*last = leaf.e[i];
		node_put(fs, &leaf);
	}
	*block = last->block + (logical - last->logical);
	*len = last->len - (logical - last->logical);
	return 0;
}

/* ---- adding ---- */

/* Make e part of a neighbour in the leaf, if it continues one. 1: done; 0: no; -errno. */
static int
extent_merge(struct efs *fs, struct einode *ei, const struct efs_extent *e)
{
	struct enode leaf;
	uint64_t end;
	int i, done = 0, err = leaf_find(fs, ei, e->logical, &leaf, &i, &end);

	if (err)
		return err;
	struct efs_extent *x = i >= 0 && *leaf.level == 0 ? &leaf.e[i] : NULL;
	if (x && x->logical + x->len == e->logical && x->block + x->len == e->block && x->len + e->len > x->len) {
		x->len += e->len;
		ei->last = *x;
		node_dirty(fs, ei, &leaf);
		done = 1;
	}
	node_put(fs, &leaf);
	return done;
}

/* A block for a new node below the inode, near `goal`. */
static int
node_new(struct efs *fs, struct einode *ei, uint64_t goal, struct enode *out)
{
	uint64_t block;
	uint32_t got;
	struct ebuf *b;
	int err = efs_blocks_alloc(fs, goal, 1, true, &block, &got);

	if (err)
		return err;
	err = efs_buf_new(fs, block, EFS_MB_EXTENT, ei->ip->ino, &b);
	if (err) {
		efs_blocks_free(fs, block, 1, true);
		return err;
	}
	ei->di.blocks++;
	block_node(b, out);
	return 0;
}

/* The inode's entries move into a node of their own, the inode points at it: the tree grows at the top. */
static int
root_grow(struct efs *fs, struct einode *ei)
{
	struct enode root, below;

	root_node(ei, &root);
	if (*root.level >= EFS_MAX_LEVEL)
		return -EFBIG;
	int err = node_new(fs, ei, root.e[0].block, &below);
	if (err)
		return err;
	memcpy(below.e, root.e, *root.count * sizeof(*root.e));
	*below.count = *root.count;
	*below.level = *root.level;
	root.e[0] = (struct efs_extent){ .logical = below.e[0].logical, .block = below.b->block };
	*root.count = 1;
	*root.level += 1;
	ei->changed = true;
	node_put(fs, &below);
	return 0;
}

static void
entry_insert(struct enode *n, unsigned at, struct efs_extent e)
{
	memmove(n->e + at + 1, n->e + at, (*n->count - at) * sizeof(*n->e));
	n->e[at] = e;
	*n->count += 1;
}

/* Split the full node below entry i of `up`, which has room. A file that grows at its end leaves the left
 * one full. */
static int
node_split(struct efs *fs, struct einode *ei, struct enode *up, unsigned i, struct enode *left,
	uint32_t logical)
{
	struct enode right;
	int err = node_new(fs, ei, left->b->block, &right);

	if (err)
		return err;
	unsigned keep = logical > left->e[*left->count - 1].logical ? *left->count - 1 : *left->count / 2;
	*right.level = *left->level;
	*right.count = *left->count - keep;
	memcpy(right.e, left->e + keep, *right.count * sizeof(*right.e));
	*left->count = keep;
	entry_insert(up, i + 1, (struct efs_extent){ .logical = right.e[0].logical, .block = right.b->block });
	node_dirty(fs, ei, up);
	node_dirty(fs, ei, left);
	node_put(fs, &right);
	return 0;
}

/* Choose the entry of `n` to go down by for `logical`; keys on the way may have to become smaller. */
static unsigned
way_down(struct efs *fs, struct einode *ei, struct enode *n, uint32_t logical)
{
	int i = efs_extent_search(n->e, *n->count, logical);

	if (i >= 0)
		return i;
	n->e[0].logical = logical;
	node_dirty(fs, ei, n);
	return 0;
}

/* Add an extent where the file has a hole.
 *
 * Requires: in a transaction; e.len > 0; no block of e is mapped.
 * Returns:  0; -ENOSPC, -EIO, -ENOMEM, -EFBIG: the tree is as before (but maybe split more).
 */
int
efs_extent_add(struct efs *fs, struct einode *ei, struct efs_extent e)
{
	struct enode n, below;
	int err = extent_merge(fs, ei, &e);

	if (err < 0)
		return err;
	ei->di.blocks += e.len;
	if (err)
		return 0;
	err = ei->di.count == EFS_INODE_EXTENTS ? root_grow(fs, ei) : 0;
	root_node(ei, &n);
	while (!err && *n.level > 0) {
		unsigned i = way_down(fs, ei, &n, e.logical);
		err = node_below(fs, ei, &n, i, &below);
		if (!err && *below.count == below.room) {
			err = node_split(fs, ei, &n, i, &below, e.logical);
			node_put(fs, &below);
			continue;
		}
		node_put(fs, &n);
		n = below;
	}
	if (!err) {
		entry_insert(&n, efs_extent_search(n.e, *n.count, e.logical) + 1, e);
		node_dirty(fs, ei, &n);
		ei->last = e;
	} else {
		ei->di.blocks -= e.len;
	}
	node_put(fs, &n);
	return err;
}

/* ---- cutting ---- */

/* Free the end of a leaf's last entry, which reaches beyond `from`: as much of it as one block of the block map tells of, so
 * that it happens or does not. */
static int
extent_trim(struct efs *fs, struct einode *ei, struct efs_extent *x, uint32_t from)
{
	uint64_t last = x->block + x->len - 1, map = last - last % EFS_MAP_BITS;
	uint32_t keep = from <= x->logical ? 0 : from - x->logical;

	if (x->block + keep < map)
		keep = map - x->block;
	int err = efs_blocks_free(fs, x->block + keep, x->len - keep, S_ISDIR(ei->ip->mode));
	if (err)
		return err;
	ei->di.blocks -= x->len - keep;
	x->len = keep;
	return 0;
}

/* Cut the last entry of a leaf. 1: nothing is left at or after `from`. */
static int
leaf_cut(struct efs *fs, struct einode *ei, struct enode *leaf, uint32_t from)
{
	struct efs_extent *x = &leaf->e[*leaf->count - 1];

	if ((uint64_t)x->logical + x->len <= from)
		return 1;
	int err = extent_trim(fs, ei, x, from);
	if (err)
		return err;
	*leaf->count -= x->len == 0;
	node_dirty(fs, ei, leaf);
	return 0;
}

static int node_cut(struct efs *fs, struct einode *ei, struct enode *n, uint32_t from, bool *more);

/* Cut the node below the last entry of n, and that entry when nothing is left of it. Returns as leaf_cut. */
static int
below_cut(struct efs *fs, struct einode *ei, struct enode *n, uint32_t from, bool *more)
{
	struct enode below;
	int err = node_below(fs, ei, n, *n->count - 1, &below);

	if (err)
		return err;
	err = node_cut(fs, ei, &below, from, more);
	bool gone = *below.count == 0;
	node_put(fs, &below);
	if (!gone)
		return err ? err : 1;
	int freed = efs_blocks_free(fs, n->e[*n->count - 1].block, 1, true);
	if (freed)
		return freed;
	ei->di.blocks--;
	*n->count -= 1;
	node_dirty(fs, ei, n);
	return err;
}

/* Cut a node and all below it; goes from its last entry to the left. 0: done, or stopped with *more set; -errno. */
static int
node_cut(struct efs *fs, struct einode *ei, struct enode *n, uint32_t from, bool *more)
{
	int r = 0;

	while (*n->count > 0 && !r && !*more) {
		*more = efs_full(fs);
		if (!*more)
			r = *n->level ? below_cut(fs, ei, n, from, more) : leaf_cut(fs, ei, n, from);
	}
	return r < 0 ? r : 0;
}

/* Free all blocks of the file from logical block `from` on, from the last one down.
 *
 * Requires: in a transaction, at the end of which the inode is stored, whatever is returned.
 * Does:     stops early, with *more set, when the transaction has become large: go on in another.
 * Returns:  0, -EIO, -ENOMEM.
 */
int
efs_extent_cut(struct efs *fs, struct einode *ei, uint32_t from, bool *more)
{
	struct enode root;

	*more = false;
	ei->last.len = 0;
	root_node(ei, &root);
	int err = node_cut(fs, ei, &root, from, more);
	if (*root.count == 0)
		*root.level = 0;
	return err;
}
