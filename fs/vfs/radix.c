/* radix.c - a sparse array of pages with a dirty mark per slot.                               (lab 7)
 *
 * Idea.       A tree of nodes with 64 slots: six bits of the index choose the slot at each level.
 *
 *                 root -> [ . | n | . | n ]  level 1: bits 6..11
 *                               |
 *                             [ p | . | p ]  level 0: bits 0..5, pages
 *
 *             Each node has a bitmap of full slots and one of slots with something dirty below, so that
 *             searches skip 64 (or 4096) empty slots at once. A file of one page needs no node: root is the
 *             page itself.
 * Interface.  radix_get, radix_put, radix_del, radix_next, radix_mark, radix_next_dirty.
 * Invariants. I1 a node's bit is set in `full` iff its slot is not NULL; no node is empty.
 *             I2 a bit of `dirty` is set iff the page there is marked, or the node there has a dirty bit.
 *             I3 bit 0 of root set: the rest is the page with index 0, bit 1 its dirty mark.
 * Locks.      The caller's.
 */
#include "fs/vfs/radix.h"

#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"

#define BITS 6
#define SLOTS 64
#define MASK (SLOTS - 1)
#define ONE 1ul              /* root flags: I3 */
#define ONE_DIRTY 2ul

struct node {
	uint64_t full, dirty;
	uint32_t level;
	void *slot[SLOTS];
};

static bool
root_is_one(void *root)
{
	return (uint64_t)root & ONE;
}

static struct page *
root_page(void *root)
{
	return (struct page *)((uint64_t)root & ~(ONE | ONE_DIRTY));
}

/* Does the index lie beyond what a tree with this top node can hold? */
static bool
node_too_small(const struct node *n, uint64_t index)
{
	uint32_t bits = (n->level + 1) * BITS;
	return bits < 64 && index >> bits;
}

static unsigned
node_slot(const struct node *n, uint64_t index)
{
	return index >> (n->level * BITS) & MASK;
}

struct page *
radix_get(void *root, uint64_t index)
{
	if (!root)
		return NULL;
	if (root_is_one(root))
		return index ? NULL : root_page(root);
	struct node *n = root;
	if (node_too_small(n, index))
		return NULL;
	while (n->level) {
		n = n->slot[node_slot(n, index)];
		if (!n)
			return NULL;
	}
	return n->slot[index & MASK];
}

static struct node *
node_new(uint32_t level)
{
	struct node *n = kzalloc(sizeof *n);
	if (n)
		n->level = level;
	return n;
}

static void
node_set(struct node *n, unsigned slot, void *what, bool dirty)
{
	n->slot[slot] = what;
	n->full |= 1ul << slot;
	if (dirty)
		n->dirty |= 1ul << slot;
}

/* Put a node above the root, or make the lone page of I3 a node of its own. */
static int
radix_raise(void **root)
{
	void *old = *root;
	bool one = root_is_one(old);
	if (old && !one && !((struct node *)old)->full) {
		((struct node *)old)->level++;
		return 0;
	}
	struct node *n = node_new(one || !old ? 0 : ((struct node *)old)->level + 1);
	if (!n)
		return -ENOMEM;
	if (one)
		node_set(n, 0, root_page(old), (uint64_t)old & ONE_DIRTY);
	else if (old)
		node_set(n, 0, old, ((struct node *)old)->dirty);
	*root = n;
	return 0;
}

/* Free the empty nodes on the way to index, lowest first. */
static void
radix_prune(void **root, uint64_t index)
{
	struct node *path[12];
	int depth = 0;

	for (struct node *n = *root; n; n = n->slot[node_slot(n, index)]) {
		path[depth++] = n;
		if (!n->level)
			break;
	}
	while (depth-- > 0) {
		struct node *n = path[depth];
		if (n->full)
			return;
		kfree(n);
		if (!depth) {
			*root = NULL;
			return;
		}
		struct node *up = path[depth - 1];
		up->slot[node_slot(up, index)] = NULL;
		up->full &= ~(1ul << node_slot(up, index));
	}
}

/* Store page p at index.
 *
 * Requires: the slot is empty.
 * Returns:  0, or -ENOMEM with the tree holding what it held.
 */
int
radix_put(void **root, uint64_t index, struct page *p)
{
	if (!*root && index == 0) {
		*root = (void *)((uint64_t)p | ONE);
		return 0;
	}
	while (!*root || root_is_one(*root) || node_too_small(*root, index))
		if (radix_raise(root) < 0)
			return -ENOMEM;
	struct node *n = *root;
	while (n->level) {
		unsigned s = node_slot(n, index);
		if (!n->slot[s]) {
			struct node *below = node_new(n->level - 1);
			if (!below) {
				radix_prune(root, index);
				return -ENOMEM;
			}
			node_set(n, s, below, false);
		}
		n = n->slot[s];
	}
	node_set(n, index & MASK, p, false);
	return 0;
}

/* Empty the slot; frees nodes that become empty. An empty slot is fine. */
void
radix_del(void **root, uint64_t index)
{
	if (!radix_get(*root, index))
		return;
	if (root_is_one(*root)) {
		*root = NULL;
		return;
	}
	radix_mark(root, index, false);
	struct node *n = *root;
	while (n->level)
		n = n->slot[node_slot(n, index)];
	n->slot[index & MASK] = NULL;
	n->full &= ~(1ul << (index & MASK));
	radix_prune(root, index);
}

/* Set or clear the dirty mark of a full slot, and of the nodes above as I2 asks. */
void
radix_mark(void **root, uint64_t index, bool dirty)
{
	struct node *path[12];
	int depth = 0;

	if (root_is_one(*root)) {
		*root = (void *)(((uint64_t)*root & ~ONE_DIRTY) | (dirty ? ONE_DIRTY : 0));
		return;
	}
	for (struct node *n = *root; ; n = n->slot[node_slot(n, index)]) {
		path[depth++] = n;
		if (!n->level)
			break;
	}
	while (depth-- > 0) {
		struct node *n = path[depth];
		uint64_t bit = 1ul << node_slot(n, index);
		if (dirty) {
			n->dirty |= bit;
		} else {
			n->dirty &= ~bit;
			if (n->dirty)
				return;
		}
	}
}

/* First page at or after *index in the subtree n that covers indexes from `base`; `dirty` asks for marked
 * ones. */
static struct page *
node_next(struct node *n, uint64_t base, uint64_t *index, bool dirty)
{
	uint32_t shift = n->level * BITS;
	unsigned s = *index > base ? (*index - base) >> shift : 0;

	for (; s < SLOTS; s++) {
		uint64_t set = (dirty ? n->dirty : n->full) >> s;
		if (!set)
			return NULL;
		s += __builtin_ctzl(set);
		uint64_t at = base + ((uint64_t)s << shift);
		if (*index < at)
			*index = at;
		if (!n->level)
			return n->slot[s];
		struct page *p = node_next(n->slot[s], at, index, dirty);
		if (p)
			return p;
	}
	return NULL;
}

static struct page *
radix_search(void *root, uint64_t *index, bool dirty)
{
	if (!root)
		return NULL;
	if (root_is_one(root))
		return *index || (dirty && !((uint64_t)root & ONE_DIRTY)) ? NULL : root_page(root);
	if (node_too_small(root, *index))
		return NULL;
	return node_next(root, 0, index, dirty);
}

struct page *
radix_next(void *root, uint64_t *index)
{
	return radix_search(root, index, false);
}

struct page *
radix_next_dirty(void *root, uint64_t *index)
{
	return radix_search(root, index, true);
}
