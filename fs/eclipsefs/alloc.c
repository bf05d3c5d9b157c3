/* alloc.c - free blocks and inodes: the two bitmaps.                                           (lab 8)
 *
 * Idea.       Blocks are handed out in runs, next-fit: where the file ends, else from where the last search
 *             stopped. Words are looked at, not bits. A write reserves blocks without choosing them (a
 *             promise); they are chosen when the pages are written, in one run, when we know how many there
 *             are.
 *
 *                 free bits = sb->free_blocks = promised (fs->reserved) + some for extent nodes + for anybody
 *
 * Interface.  efs.h.
 * Invariants. I1 sb->free_blocks and free_inodes count the clear bits. I2 fs->reserved <= sb->free_blocks.
 *             I3 a block whose bit is set in fs->busy is not handed out, free or not.
 * Locks.      fs->lock, but for efs_blocks_unpromise.
 */
#include "fs/eclipsefs/efs.h"

#include "lib/abi/errno.h"
#include "kern/boot/print.h"

#define UNCOUNTED UINT32_MAX
#define GOOD_RUN  64u		/* a search is content with a run this long */

static int
map_get(struct efs *fs, uint64_t k, struct ebuf **out)
{
	return efs_buf_get(fs, fs->sb->bmap_start + k, EFS_MB_BMAP, 0, out);
}

static uint64_t *
map_bits(struct ebuf *b)
{
	return ((struct efs_bitmap *)b->data)->bits;
}

/* Ones in a word: neighbours are added in pairs, fours, then all bytes by a multiplication. */
static uint32_t
bits_count(uint64_t w)
{
	w -= w >> 1 & 0x5555555555555555ul;
	w = (w & 0x3333333333333333ul) + (w >> 2 & 0x3333333333333333ul);
	return ((w + (w >> 4)) & 0x0f0f0f0f0f0f0f0ful) * 0x0101010101010101ul >> 56;
}

/* Set or clear bits [from, from+n). Returns how many changed. */
static uint32_t
bits_change(uint64_t *bits, uint32_t from, uint32_t n, bool set)
{
	uint32_t changed = 0;

	while (n > 0) {
		uint32_t at = from % 64, len = n < 64 - at ? n : 64 - at;
		uint64_t mask = (len == 64 ? ~0ul : (1ul << len) - 1) << at, *w = &bits[from / 64];
		changed += bits_count((set ? ~*w : *w) & mask);
		*w = set ? *w | mask : *w & ~mask;
		from += len;
		n -= len;
	}
	return changed;
}

/* The first bit in [from, to) of value `value` in bits | busy, or `to`. Requires: to <= EFS_MAP_BITS. */
static uint32_t
bits_find(const uint64_t *bits, const uint64_t *busy, uint32_t from, uint32_t to, bool value)
{
	for (uint32_t w = from / 64; w * 64 < to; w++, from = w * 64) {
		uint64_t word = bits[w] | (busy ? busy[w] : 0);
		word = (value ? word : ~word) & ~0ul << from % 64;
		if (word) {
			uint32_t found = w * 64 + __builtin_ctzl(word);
			return found < to ? found : to;
		}
	}
	return to;
}

/* Free blocks in map block k, counted when it is first looked at. */
static void
map_count(struct efs *fs, uint64_t k, struct ebuf *b)
{
	uint32_t used = 0;

	if (fs->map_free[k] != UNCOUNTED)
		return;
	for (uint32_t w = 0; w < EFS_MAP_WORDS; w++)
		used += bits_count(map_bits(b)[w]);
	fs->map_free[k] = EFS_MAP_BITS - used;
}

/* The best run of up to `want` free bits at or after `from`: the first that is long enough, else the
 * longest. */
static uint32_t
run_find(const uint64_t *bits, const uint64_t *busy, uint32_t from, uint32_t want, uint32_t *len)
{
	uint32_t best = 0, enough = want < GOOD_RUN ? want : GOOD_RUN;

	*len = 0;
	for (uint32_t at = from; *len < enough;) {
		at = bits_find(bits, busy, at, EFS_MAP_BITS, false);
		if (at >= EFS_MAP_BITS)
			break;
		uint32_t most = want < EFS_MAP_BITS - at ? at + want : EFS_MAP_BITS;
		uint32_t end = bits_find(bits, busy, at, most, true);
		if (end - at > *len) {
			best = at;
			*len = end - at;
		}
		at = end;
	}
	return best;
}

/* Take a run in map block k at or after bit `from`. Returns 0, -ENOSPC: none there, -EIO, -ENOMEM. */
static int
map_take(struct efs *fs, uint64_t k, uint32_t from, uint32_t want, uint64_t *start, uint32_t *got)
{
	struct ebuf *b;
	uint32_t len;
	int err = map_get(fs, k, &b);

	if (err)
		return err;
	map_count(fs, k, b);
	uint32_t at = run_find(map_bits(b), fs->busy[k], from, want, &len);
	*start = k * EFS_MAP_BITS + at;
	*got = len;
	if (len > 0 && (*start < fs->sb->data_start || *start + len > fs->sb->blocks)) {
		err = efs_damage(fs, "block map has free blocks outside the data area");
	} else if (len > 0) {
		assert(!fs->busy[k] || bits_find(fs->busy[k], NULL, at, at + len, true) == at + len);	/* I3 */
		fs->map_free[k] -= bits_change(map_bits(b), at, len, true);
		efs_buf_dirty(fs, b);
	}
	efs_buf_put(fs, b);
	return err ? err : len ? 0 : -ENOSPC;
}

/* Blocks that may be taken without breaking a promise; some are kept back for the extent nodes of what is
 * promised. */
static uint64_t
blocks_available(struct efs *fs)
{
	uint64_t reserved = __atomic_load_n(&fs->reserved, __ATOMIC_RELAXED);
	uint64_t kept = reserved + reserved / 64 + 8;

	return fs->sb->free_blocks > kept ? fs->sb->free_blocks - kept : 0;
}

/* Take up to `want` contiguous blocks, near `goal` (0: anywhere).
 *
 * Requires: in a transaction; want > 0. promised: they were promised, and the caller unpromises what it got.
 * Does:     continues at goal if that is free, else looks from the last place on, once round the disk.
 * Returns:  0 with *got >= 1 blocks at *start; -ENOSPC, -EIO, -ENOMEM.
 */
int
efs_blocks_alloc(struct efs *fs, uint64_t goal, uint32_t want, bool promised, uint64_t *start, uint32_t *got)
{
	uint64_t maps = fs->sb->bmap_blocks, available = promised ? fs->sb->free_blocks : blocks_available(fs);

	if (available == 0)
		return -ENOSPC;
	if (want > available)
		want = available;
	if (goal < fs->sb->data_start || goal >= fs->sb->blocks)
		goal = fs->block_hint;
	uint64_t first = goal / EFS_MAP_BITS;
	for (uint64_t i = 0; i <= maps; i++) {
		uint64_t k = (first + i) % maps;
		if (fs->map_free[k] == 0)
			continue;
		int err = map_take(fs, k, i == 0 ? goal % EFS_MAP_BITS : 0, want, start, got);
		if (err == -ENOSPC)
			continue;
		if (err)
			return err;
		fs->block_hint = *start + *got < fs->sb->blocks ? *start + *got : fs->sb->data_start;
		fs->sb->free_blocks -= *got < fs->sb->free_blocks ? *got : fs->sb->free_blocks;
		efs_buf_dirty(fs, fs->sbuf);
		return 0;
	}
	return -ENOSPC;
}

/* Give blocks back. metadata: they were buffers, which are forgotten.
 * Requires: in a transaction. Returns 0; -EIO: the map cannot be read, or says that they are free already
 * (damage). */
int
efs_blocks_free(struct efs *fs, uint64_t start, uint64_t len, bool metadata)
{
	if (fs->txn->freed)
		fs->txn->freed(fs, start, len, metadata);
	while (len > 0) {
		uint64_t k = start / EFS_MAP_BITS;
		uint32_t from = start % EFS_MAP_BITS, n = len < EFS_MAP_BITS - from ? len : EFS_MAP_BITS - from;
		struct ebuf *b;
		int err = map_get(fs, k, &b);
		if (err)
			return err;
		map_count(fs, k, b);
		uint32_t freed = bits_change(map_bits(b), from, n, false);
		fs->map_free[k] += freed;
		fs->sb->free_blocks += freed;
		efs_buf_dirty(fs, b);
		efs_buf_dirty(fs, fs->sbuf);
		efs_buf_put(fs, b);
		if (freed != n)
			return efs_damage(fs, "freeing blocks at %lu that are free", start);
		for (uint32_t i = 0; metadata && i < n; i++)
			efs_buf_forget(fs, start + i);
		start += n;
		len -= n;
	}
	return 0;
}

/* Promise n blocks to pages that are about to become dirty. Requires: fs->lock. Returns 0 or -ENOSPC. */
int
efs_blocks_promise(struct efs *fs, uint64_t n)
{
	if (blocks_available(fs) < n + n / 64)
		return -ENOSPC;
	__atomic_fetch_add(&fs->reserved, n, __ATOMIC_RELAXED);
	return 0;
}

void
efs_blocks_unpromise(struct efs *fs, uint64_t n)
{
	__atomic_fetch_sub(&fs->reserved, n, __ATOMIC_RELAXED);
}

/* ---- inodes ---- */

static int
imap_get(struct efs *fs, uint32_t ino, struct ebuf **out, uint32_t *bit)
{
	*bit = (ino - 1) % EFS_MAP_BITS;
	return efs_buf_get(fs, fs->sb->imap_start + (ino - 1) / EFS_MAP_BITS, EFS_MB_IMAP, 0, out);
}

/* Take the first free inode. *fresh: none of its inode-table block was in use: that block is to be made anew.
 * Requires: in a transaction. Returns 0, -ENOSPC, -EIO, -ENOMEM. */
int
efs_ino_alloc(struct efs *fs, uint32_t *ino, bool *fresh)
{
	uint32_t total = fs->sb->h.total_inodes, bit;
	struct ebuf *b;

	for (uint64_t at = fs->ino_hint; at <= total;) {
		int err = imap_get(fs, at, &b, &bit);
		if (err)
			return err;
		uint32_t found = bits_find(map_bits(b), NULL, bit, EFS_MAP_BITS, false);
		at += found - bit;
		if (found < EFS_MAP_BITS && at <= total) {
			*fresh = !efs_imap_block_used((struct efs_bitmap *)b->data, found);
			bits_change(map_bits(b), found, 1, true);
			efs_buf_dirty(fs, b);
			efs_buf_put(fs, b);
			fs->sb->free_inodes -= fs->sb->free_inodes > 0;
			efs_buf_dirty(fs, fs->sbuf);
			*ino = at;
			fs->ino_hint = at + 1;
			return 0;
		}
		efs_buf_put(fs, b);
	}
	fs->ino_hint = total + 1;
	return -ENOSPC;
}

/* Give an inode number back. Requires: in a transaction; its inode has mode 0. */
int
efs_ino_free(struct efs *fs, uint32_t ino)
{
	uint32_t bit;
	struct ebuf *b;
	int err = imap_get(fs, ino, &b, &bit);

	if (err)
		return err;
	uint32_t freed = bits_change(map_bits(b), bit, 1, false);
	efs_buf_dirty(fs, b);
	efs_buf_put(fs, b);
	fs->sb->free_inodes += freed;
	efs_buf_dirty(fs, fs->sbuf);
	if (ino < fs->ino_hint)
		fs->ino_hint = ino;
	return freed ? 0 : efs_damage(fs, "freeing inode %u that is free", ino);
}

/* Whether an inode is in use: 1, 0, or -EIO, -ENOMEM. */
int
efs_ino_used(struct efs *fs, uint32_t ino)
{
	uint32_t bit;
	struct ebuf *b;

	if (ino == 0 || ino > fs->sb->h.total_inodes)
		return 0;
	int err = imap_get(fs, ino, &b, &bit);
	if (err)
		return err;
	int used = map_bits(b)[bit / 64] >> bit % 64 & 1;
	efs_buf_put(fs, b);
	return used;
}

/* Count free blocks and inodes anew: the superblock of a file system that was not unmounted may be wrong.
 * Requires: fs->lock. Returns 0, -EIO, -ENOMEM. */
int
efs_count_free(struct efs *fs)
{
	struct efs_super *sb = fs->sb;
	struct ebuf *b;

	sb->free_blocks = 0;
	for (uint64_t k = 0; k < sb->bmap_blocks; k++) {
		int err = map_get(fs, k, &b);
		if (err)
			return err;
		map_count(fs, k, b);
		sb->free_blocks += fs->map_free[k];
		efs_buf_put(fs, b);
	}
	sb->free_inodes = 0;
	for (uint64_t k = 0; k < sb->imap_blocks; k++) {
		int err = efs_buf_get(fs, sb->imap_start + k, EFS_MB_IMAP, 0, &b);
		if (err)
			return err;
		for (uint32_t w = 0; w < EFS_MAP_WORDS; w++)
			sb->free_inodes += bits_count(~map_bits(b)[w]);
		efs_buf_put(fs, b);
	}
	return 0;
}
