/* dirindex.c - names of one directory by hash, in memory.                                      (lab 8)
 *
 * Idea.       On the disk a directory is a plain sequence of records that never move. To find a name
 *             without reading them all, a directory that is used gets a hash table from the hash of a name
 *             to where its record is: 8 bytes a name, open addressing, linear probing. It is never written,
 *             so it cannot be wrong on the disk.
 *
 *                 slot:  [hash,pos] [hash,pos] [ 0 ] [hash,pos] ...   a name: from hash & mask to the next 0
 *
 *             The table comes in chunks of a page, so a large one needs no large piece of memory.
 * Interface.  efs_index_*. Different names may have one hash: the caller compares and asks for the next.
 * Invariants. I1 slots is a power of two, less than three quarters used. I2 pos is never 0. I3 no empty
 *             slot lies between an entry and the slot of its hash.
 * Locks.      The caller's (sb->ns).
 */
#include "fs/eclipsefs/efs.h"

#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define CHUNK      512u		/* slots: a page */
#define SLOTS_MIN  16u

static struct dirslot *
slot_at(const struct dirindex *x, uint32_t i)
{
	return &x->chunks[i / CHUNK][i % CHUNK];
}

static void
chunks_free(struct dirslot **chunks, uint32_t slots)
{
	for (uint32_t i = 0; chunks && i < (slots + CHUNK - 1) / CHUNK; i++)
		kfree(chunks[i]);
	kfree(chunks);
}

static struct dirslot **
chunks_alloc(uint32_t slots)
{
	uint32_t n = (slots + CHUNK - 1) / CHUNK;
	struct dirslot **chunks = kzalloc(n * sizeof(*chunks));

	for (uint32_t i = 0; chunks && i < n; i++) {
		chunks[i] = kzalloc((slots < CHUNK ? slots : CHUNK) * sizeof(**chunks));
		if (!chunks[i]) {
			chunks_free(chunks, slots);
			return NULL;
		}
	}
	return chunks;
}

/* An empty index, or NULL: out of memory. */
struct dirindex *
efs_index_new(void)
{
	struct dirindex *x = kzalloc(sizeof(*x));

	if (x)
		x->chunks = chunks_alloc(SLOTS_MIN);
	if (x && !x->chunks) {
		kfree(x);
		return NULL;
	}
	if (x)
		x->slots = SLOTS_MIN;
	return x;
}

void
efs_index_free(struct dirindex *x)
{
	if (x)
		chunks_free(x->chunks, x->slots);
	kfree(x);
}

/* Put into the first empty slot from its own on. */
static void
slot_put(struct dirindex *x, struct dirslot s)
{
	uint32_t i = s.hash & (x->slots - 1);

	while (slot_at(x, i)->pos)
		i = (i + 1) & (x->slots - 1);
	*slot_at(x, i) = s;
	x->used++;
}

static int
index_grow(struct dirindex *x)
{
	struct dirindex old = *x;

	if (x->slots >= 1u << 30)
		return -ENOSPC;
	x->chunks = chunks_alloc(old.slots * 2);
	if (!x->chunks) {
		*x = old;
		return -ENOMEM;
	}
	x->slots = old.slots * 2;
	x->used = 0;
	for (uint32_t i = 0; i < old.slots; i++)
		if (slot_at(&old, i)->pos)
			slot_put(x, *slot_at(&old, i));
	chunks_free(old.chunks, old.slots);
	return 0;
}

/* Enter a name's hash and position. Returns 0 or -ENOMEM, -ENOSPC. */
int
efs_index_add(struct dirindex *x, uint32_t hash, uint32_t pos)
{
	int err = (x->used + 1) * 4ul > x->slots * 3ul ? index_grow(x) : 0;

	if (!err)
		slot_put(x, (struct dirslot){ hash, pos });
	return err;
}

/* The next position with this hash; start with *cursor 0. False: no more. */
bool
efs_index_next(const struct dirindex *x, uint32_t hash, uint32_t *cursor, uint32_t *pos)
{
	for (;;) {
		const struct dirslot *s = slot_at(x, (hash + (*cursor)++) & (x->slots - 1));
		if (!s->pos)
			return false;
		if (s->hash == hash) {
			*pos = s->pos;
			return true;
		}
	}
}

/* Remove an entry, if it is there. Later ones of its run move up where that keeps I3 (Knuth 6.4, algorithm
 * R). */
void
efs_index_del(struct dirindex *x, uint32_t hash, uint32_t pos)
{
	uint32_t mask = x->slots - 1, i = hash & mask;

	for (; slot_at(x, i)->hash != hash || slot_at(x, i)->pos != pos; i = (i + 1) & mask)
		if (!slot_at(x, i)->pos)
			return;
	for (uint32_t j = (i + 1) & mask; slot_at(x, j)->pos; j = (j + 1) & mask) {
		uint32_t home = slot_at(x, j)->hash & mask;
		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		*slot_at(x, i) = *slot_at(x, j);
		i = j;
	}
	slot_at(x, i)->pos = 0;
	x->used--;
}
