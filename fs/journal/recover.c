/* recover.c - after a crash: finish what the log has whole, forget the rest.                   (lab 9)
 *
 * Idea.       First only read: follow the transactions from the log's start as long as they are complete
 *             (numbers without a gap, every checksum right), noting each image and each revoke. Then write
 *             home the last image of each block.
 *
 *             Why this is right, in short (FORMAT.md section 9 has all of it). (1) A transaction that was
 *             reported durable is in the log, complete, or is home (J4). (2) Home places hold the state after
 *             some of these transactions (J1), so writing the last image of each block gives the state after
 *             the last. (3) A transaction that is not complete was never home (J1) and never promised;
 *             nothing of it is left. (4) Cut off at any point, the log is as before: doing it again writes
 *             the same blocks (J7).
 * Interface.  journal_recover().
 * Invariants. I1 nothing is written before the scan has ended. I2 at most length-1 log blocks are read,
 *             whatever they say. I3 images go only to blocks of this file system outside the log.
 * Locks.      fs->lock, by the mount.
 */
#include "fs/journal/journal.h"

#include "fs/eclipsefs/crc.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define AHEAD 32u			/* log blocks read at a time */

/* An image (at: its log block) or a revoke (at: 0) of `block` by transaction seq. */
struct note {
	uint64_t block, seq;
	uint32_t at;
};

struct scan {
	struct journal *j;
	uint32_t pos, left;		/* next ring block; how many may still be read (I2) */
	uint8_t *ahead;			/* AHEAD blocks: those from ring block ahead_from on have been read */
	uint32_t ahead_from, nahead;
	struct note *notes;
	uint32_t n, room;
	uint64_t transactions;
	union {
		struct efs_mb mb;
		struct efs_jdesc desc;
		struct efs_jrevoke revoke;
		struct efs_jcommit commit;
	} *control;
	uint8_t *image;
};

static int
note_add(struct scan *s, uint64_t block, uint64_t seq, uint32_t at)
{
	if (s->n == s->room) {
		uint32_t room = s->room ? 2 * s->room : 256;
		struct note *notes = krealloc(s->notes, room * sizeof(*notes));
		if (!notes)
			return -ENOMEM;
		s->notes = notes;
		s->room = room;
	}
	s->notes[s->n++] = (struct note){ block, seq, at };
	return 0;
}

/* Read many log blocks at once, those from ring block `at` on. A bad one may lie behind the end of the log,
 * where nobody will ask for it: then just this one. Returns 0 or -EIO. */
static int
scan_ahead(struct scan *s, uint32_t at)
{
	const uint32_t end = s->j->length, sectors = EFS_BLOCK / SECTOR_SIZE;
	uint64_t sector = log_place(s->j, at) * sectors;

	s->ahead_from = at;
	s->nahead = end - at < AHEAD ? end - at : AHEAD;
	if (block_rw(s->j->fs->bdev, BIO_READ, sector, s->ahead, s->nahead * sectors) == 0)
		return 0;
	s->nahead = 1;
	return block_rw(s->j->fs->bdev, BIO_READ, sector, s->ahead, sectors);
}

/* The next block of the ring into buf. 1; 0: that was the whole ring; -EIO. */
static int
scan_next(struct scan *s, void *buf, uint32_t *at)
{
	if (s->left == 0)
		return 0;
	s->left--;
	*at = s->pos;
	s->pos = log_after(s->j, s->pos, 1);
	if (*at < s->ahead_from || *at - s->ahead_from >= s->nahead) {
		int err = scan_ahead(s, *at);
		if (err)
			return err;
	}
	memcpy(buf, s->ahead + (*at - s->ahead_from) * EFS_BLOCK, EFS_BLOCK);
	return 1;
}

static bool
target_ok(const struct journal *j, uint64_t block)
{
	return block < j->fs->sb->blocks && (block < j->area || block - j->area >= j->length);
}

/* Does this image of the superblock describe the file system that we know? */
static bool
super_image_ok(const struct scan *s)
{
	const struct efs *fs = s->j->fs;

	uint64_t blocks = fs->bdev->nsectors / (EFS_BLOCK / SECTOR_SIZE);

	return !efs_super_check((const struct efs_super *)s->image, blocks) &&
		memcmp(s->image, fs->sb, offsetof(struct efs_super, state)) == 0;
}

/* Is this what belongs at `block`? Every metadata block says where its home is; the superblock is known. */
static int
image_check(const struct scan *s, uint64_t block)
{
	const struct efs_mb *mb = (const struct efs_mb *)s->image;

	if (block == EFS_SUPER_BLOCK)
		return super_image_ok(s) ? 1 : efs_damage(s->j->fs, "the journal changes the file system's layout");
	return !efs_mb_check(mb, mb->magic, block, s->j->fs->sb->fsid, mb->owner);
}

/* The images of a descriptor. 1: all right; 0: not; -errno. */
static int
scan_images(struct scan *s)
{
	const struct efs_jdesc *d = &s->control->desc;
	uint32_t at;

	if (d->count == 0 || d->count > EFS_JTAGS)
		return 0;
	for (uint32_t i = 0; i < d->count; i++) {
		int r = target_ok(s->j, d->tags[i].block) ? scan_next(s, s->image, &at) : 0;
		if (r <= 0)
			return r;
		if (crc32c(0, s->image, EFS_BLOCK) != d->tags[i].crc)
			return 0;
		r = image_check(s, d->tags[i].block);
		if (r <= 0)
			return r;
		r = note_add(s, d->tags[i].block, d->mb.seq, at);
		if (r)
			return r;
	}
	return 1;
}

static int
scan_revokes(struct scan *s)
{
	const struct efs_jrevoke *r = &s->control->revoke;

	if (r->count == 0 || r->count > EFS_JREVOKES)
		return 0;
	for (uint32_t i = 0; i < r->count; i++) {
		int err = note_add(s, r->blocks[i], r->mb.seq, 0);
		if (err)
			return err;
	}
	return 1;
}

/* Read the transaction with number seq. 1: complete; 0: not there, or not whole; -EIO, -ENOMEM. */
static int
scan_transaction(struct scan *s, uint64_t seq)
{
	uint32_t controls = 0, chain = 0, images = 0, at;

	for (;;) {
		int r = scan_next(s, s->control, &at);
		if (r <= 0)
			return r;
		const struct efs_mb *mb = &s->control->mb;
		if (efs_mb_check(mb, mb->magic, log_place(s->j, at), s->j->fs->sb->fsid, 0) || mb->seq != seq)
			return 0;
		if (mb->magic == EFS_MB_JCOMMIT)
			return s->control->commit.controls == controls && s->control->commit.images == images &&
				s->control->commit.chain == chain;
		if (s->control->desc.index != controls++)
			return 0;
		chain = crc32c(chain, &mb->crc, sizeof(mb->crc));
		if (mb->magic == EFS_MB_JDESC) {
			images += s->control->desc.count;
			r = scan_images(s);
		} else {
			r = mb->magic == EFS_MB_JREVOKE ? scan_revokes(s) : 0;
		}
		if (r <= 0)
			return r;
	}
}

/* Which note of a block counts, found by hash: slot i holds 1 + the index of a note, 0 is empty. */
struct last {
	uint32_t *slot;
	uint32_t mask;
};

static uint32_t *
last_slot(const struct scan *s, const struct last *l, uint64_t block)
{
	uint32_t i = block * 0x9e3779b97f4a7c15ul >> 40 & l->mask;

	while (l->slot[i] && s->notes[l->slot[i] - 1].block != block)
		i = (i + 1) & l->mask;
	return &l->slot[i];
}

/* Must note k go home? Going from the newest to the oldest: not if a newer image of its block did, nor if a
 * later transaction revoked the block (J6). Remembers k for the older ones. */
static bool
goes_home(const struct scan *s, const struct last *l, uint32_t k)
{
	uint32_t *slot = last_slot(s, l, s->notes[k].block);
	const struct note *newer = *slot ? &s->notes[*slot - 1] : NULL;

	if (newer && (newer->at || newer->seq > s->notes[k].seq))
		return false;
	*slot = k + 1;
	return s->notes[k].at != 0;
}

/* Write one image home. That damage was seen is not forgotten: the superblock at home may know what its image
 * does not. */
static int
image_replay(struct scan *s, const struct note *n)
{
	struct efs_super *sb = (struct efs_super *)s->image;
	int err = log_block_read(s->j, log_place(s->j, n->at), s->image);

	if (!err && n->block == EFS_SUPER_BLOCK && s->j->fs->sb->state & EFS_ERRORS) {
		sb->state |= EFS_ERRORS;
		efs_super_seal(sb);
	}
	return err ? err : log_block_write(s->j, n->block, s->image);
}

/* Write the last image of each block home. Returns how many, -EIO, -ENOMEM. */
static long
replay(struct scan *s)
{
	struct last l = { .mask = 255 };
	long written = 0;
	int err = 0;

	while (l.mask < 2 * s->n)
		l.mask = 2 * l.mask + 1;
	l.slot = kzalloc((l.mask + 1ul) * sizeof(*l.slot));
	if (!l.slot)
		return -ENOMEM;
	for (uint32_t k = s->n; k-- > 0 && !err;) {
		if (!goes_home(s, &l, k))
			continue;
		err = image_replay(s, &s->notes[k]);
		written++;
	}
	kfree(l.slot);
	if (!err)
		err = block_flush(s->j->fs->bdev);
	return err ? err : written;
}

/* The superblock may have been among the images: take the new one. */
static int
super_reload(struct journal *j, void *tmp)
{
	int err = log_block_read(j, EFS_SUPER_BLOCK, tmp);

	if (!err && efs_super_check(tmp, j->fs->bdev->nsectors / (EFS_BLOCK / SECTOR_SIZE)))
		err = efs_damage(j->fs, "the superblock, after the journal was replayed");
	if (!err)
		memcpy(j->fs->sb, tmp, EFS_BLOCK);
	return err;
}

/* Follow the log from `start`; sets s->notes and j->seq (the number after the last complete one).
 * Returns 0 or -errno. */
static int
scan_all(struct scan *s, uint32_t start)
{
	s->pos = start;
	s->left = s->j->length - 1;
	for (;;) {
		uint32_t kept = s->n;
		int r = scan_transaction(s, s->j->seq);
		if (r <= 0) {
			s->n = kept;
			return r;
		}
		s->j->seq++;
		s->transactions++;
	}
}

/* Bring the file system to the state after the last complete transaction, and empty the log.
 *
 * Requires: fs->lock; nothing but the superblock has been read.
 * Does:     - says in one line what it did, if anything;
 *           - on a disk that cannot be written, and a log that is not empty, fails.
 * Returns:  how many transactions, with j->seq set; -EIO, -ENOMEM, -EROFS.
 */
long
journal_recover(struct journal *j)
{
	uint64_t began = clock_ns();
	struct scan s = { .j = j };
	uint32_t start = 0;
	long written = 0;
	int err = log_super_read(j, &start);

	if (err == -EIO && j->fs->sb->state & EFS_CLEAN) {
		j->seq = j->fs->sb->seq + 1;       /* FORMAT.md: a clean file system needs no log */
		return 0;
	}
	if (err)
		return efs_damage(j->fs, "the journal's superblock");
	if (!start)
		return 0;
	s.control = kmalloc(EFS_BLOCK);
	s.image = kmalloc(EFS_BLOCK);
	s.ahead = kmalloc(AHEAD * EFS_BLOCK);
	err = s.control && s.image && s.ahead ? scan_all(&s, start) : -ENOMEM;
	if (!err && s.transactions && j->fs->bdev->readonly) {
		klog(LOG_ERR, "eclipsefs %s: the journal must be replayed, but the disk is read-only\n", j->fs->bdev->name);
		err = -EROFS;
	}
	if (!err && s.transactions) {
		written = replay(&s);
		err = written < 0 ? (int)written : super_reload(j, s.image);
	}
	if (!err && !j->fs->bdev->readonly)
		err = log_super_write(j, 0);
	if (!err && s.transactions)
		klog(LOG_INFO, "eclipsefs %s: journal: %lu transactions recovered, %ld blocks, %lu ms\n", j->fs->bdev->name,
			s.transactions, written, (clock_ns() - began) / 1000000);
	kfree(s.control);
	kfree(s.image);
	kfree(s.ahead);
	kfree(s.notes);
	return err ? err : (long)s.transactions;
}
