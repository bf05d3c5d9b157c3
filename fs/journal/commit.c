/* commit.c - the running transaction, its commit, and the way home.                            (lab 9)
 *
 * Idea.       Which buffers belong to the running transaction needs no list: they are the dirty ones with b->seq == j->seq. A
 *             commit, in the order that makes it safe:
 *
 *                 wait for file data under way                                   J2
 *                 write control blocks and images, then flush if there was data  J2
 *                 write the commit block, flush                                  the transaction is durable now
 *                 hand out what it freed                                         J3
 *
 *             Many operations share one commit: it runs when somebody waits for durability (fsync, sync), when the flusher comes
 *             by, and when the log or the cache runs full.
 * Interface.  journal.h; called through struct efs_txn_ops.
 * Invariants. journal.h's J1 to J6.
 * Locks.      fs->lock, held by all callers through the whole commit.
 */
#include "fs/journal/journal.h"

#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/data.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"

static bool
in_running(const struct journal *j, const struct ebuf *b)
{
	return b->seq == j->seq;
}

static uint32_t
log_free(const struct journal *j)
{
	return j->length - 1 - j->used;
}

/* Log blocks for a transaction of so many images and revokes. */
static uint32_t
blocks_needed(uint32_t images, uint32_t revokes)
{
	return images + (images + EFS_JTAGS - 1) / EFS_JTAGS + (revokes + EFS_JREVOKES - 1) / EFS_JREVOKES + 1;
}

/* ---- the running transaction ---- */

/* b is being changed in the running transaction. */
void
journal_dirty(struct efs *fs, struct ebuf *b)
{
	struct journal *j = journal_of(fs);

	if (!in_running(j, b)) {
		b->seq = j->seq;
		j->nrunning++;
	}
}

/* Room for one more element of `size` bytes in *array. 0 or -ENOMEM. */
static int
array_room(void **array, uint32_t n, uint32_t *room, size_t size)
{
	if (n < *room)
		return 0;
	uint32_t more = *room ? 2 * *room : 64;
	void *p = krealloc(*array, more * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*room = more;
	return 0;
}

/* Set or clear the bits of [block, block+len) in fs->busy. Setting returns -ENOMEM when there is no bitmap to set them in. */
static int
busy_change(struct efs *fs, uint64_t block, uint64_t len, bool value)
{
	for (; len > 0; block++, len--) {
		uint64_t k = block / EFS_MAP_BITS, bit = block % EFS_MAP_BITS;
		if (!fs->busy[k] && (!value || !(fs->busy[k] = kzalloc(EFS_BLOCK))))
			return -ENOMEM;
		if (value)
			fs->busy[k][bit / 64] |= 1ul << bit % 64;
		else
			fs->busy[k][bit / 64] &= ~(1ul << bit % 64);
	}
	return 0;
}

/* The running transaction frees these blocks: J3, and J6 for metadata.
 *
 * Does:     - keeps them from being handed out before the commit. If there is no memory to remember them, they stay out of use
 *             until the next mount; if there is none even for that, the caller's transaction is committed with all before it.
 */
void
journal_freed(struct efs *fs, uint64_t block, uint64_t len, bool metadata)
{
	struct journal *j = journal_of(fs);

	if (busy_change(fs, block, len, true))
		efs_damage(fs, "no memory to keep freed blocks back");
	else if (array_room((void **)&j->freed, j->nfreed, &j->room_freed, sizeof(*j->freed)) == 0)
		j->freed[j->nfreed++] = (struct freed){ block, len };
	for (uint64_t i = 0; metadata && i < len; i++) {
		if (array_room((void **)&j->revoked, j->nrevoked, &j->room_revoked, sizeof(*j->revoked)) == 0)
			j->revoked[j->nrevoked++] = block + i;
		else
			j->home_next = true;
	}
}

/* ---- the commit ---- */

/* The log cannot be trusted to take more: no further changes; what is committed is replayed at the next mount. */
static int
journal_abort(struct journal *j, const char *what, int err)
{
	efs_damage(j->fs, "journal: %s: error %d", what, err);
	return -EIO;
}

/* Note in the superblock at home that damage was seen; of the running transaction nothing may reach the disk (J1). */
static int
errors_mark(struct journal *j)
{
	struct efs_super *home = kmalloc(EFS_BLOCK);

	if (home && log_block_read(j, EFS_SUPER_BLOCK, home) == 0 && !(home->state & EFS_ERRORS)) {
		home->state |= EFS_ERRORS;
		efs_super_seal(home);
		log_block_write(j, EFS_SUPER_BLOCK, home);
	}
	kfree(home);
	return -EIO;
}

/* The control blocks of one commit, made before anything is written. */
struct controls {
	uint32_t n;
	struct efs_mb *block[];
};

static void
controls_free(struct controls *c)
{
	for (uint32_t i = 0; c && i < c->n; i++)
		kfree(c->block[i]);
	kfree(c);
}

static struct controls *
controls_alloc(uint32_t n)
{
	struct controls *c = kzalloc(sizeof(*c) + n * sizeof(c->block[0]));

	for (; c && c->n < n; c->n++) {
		if ((c->block[c->n] = kmalloc(EFS_BLOCK)))
			continue;
		controls_free(c);
		return NULL;
	}
	return c;
}

static uint32_t
running_count(struct journal *j)
{
	uint32_t n = 0;

	list_for_each(b, &j->fs->dirty, struct ebuf, link)
		n += in_running(j, b);
	return n;
}

/* The next buffer of the running transaction at or after link `at` in the dirty list, sealed as it will be at home. */
static struct ebuf *
running_next(struct journal *j, struct list **at)
{
	for (; *at != &j->fs->dirty; *at = (*at)->next) {
		struct ebuf *b = list_entry(*at, struct ebuf, link);
		if (!in_running(j, b))
			continue;
		*at = (*at)->next;
		if (b->magic == EBUF_SUPER) {
			((struct efs_super *)b->data)->seq = j->seq;
			efs_super_seal((struct efs_super *)b->data);
		} else {
			((struct efs_mb *)b->data)->seq = j->seq;
			efs_mb_seal(b->data);
		}
		return b;
	}
	return NULL;
}

/* A control block's head: its number is its place on the disk. */
static void
control_init(struct journal *j, void *block, uint32_t magic)
{
	efs_mb_init(block, magic, log_place(j, j->head), j->fs->sb->fsid, 0);
	((struct efs_mb *)block)->seq = j->seq;
}

static uint32_t
control_seal(void *block, uint32_t chain)
{
	struct efs_mb *mb = block;

	efs_mb_seal(mb);
	return crc32c(chain, &mb->crc, sizeof(mb->crc));
}

/* Write descriptors with their images. Returns the chain of checksums; *used: control blocks used up. */
static uint32_t
images_write(struct journal *j, struct controls *c, uint32_t images, uint32_t *used)
{
	struct list *at = j->fs->dirty.next;
	uint32_t chain = 0;

	while (images > 0) {
		struct efs_jdesc *d = (struct efs_jdesc *)c->block[*used];
		struct ebuf *batch[EFS_JTAGS];
		control_init(j, d, EFS_MB_JDESC);
		d->count = images < EFS_JTAGS ? images : EFS_JTAGS;
		d->index = (*used)++;
		for (uint32_t i = 0; i < d->count; i++) {
			batch[i] = running_next(j, &at);
			d->tags[i].block = batch[i]->block;
			d->tags[i].crc = crc32c(0, batch[i]->data, EFS_BLOCK);
		}
		chain = control_seal(d, chain);
		log_write(j, d);
		for (uint32_t i = 0; i < d->count; i++)
			log_write(j, batch[i]->data);
		images -= d->count;
	}
	return chain;
}

static uint32_t
revokes_write(struct journal *j, struct controls *c, uint32_t chain, uint32_t *used)
{
	for (uint32_t done = 0; done < j->nrevoked;) {
		struct efs_jrevoke *r = (struct efs_jrevoke *)c->block[*used];
		control_init(j, r, EFS_MB_JREVOKE);
		r->count = j->nrevoked - done < EFS_JREVOKES ? j->nrevoked - done : EFS_JREVOKES;
		r->index = (*used)++;
		for (uint32_t i = 0; i < r->count; i++)
			r->blocks[i] = j->revoked[done++];
		chain = control_seal(r, chain);
		log_write(j, r);
	}
	return chain;
}

/* Write the running transaction and make it durable. Returns 0 or the first error. */
static int
transaction_write(struct journal *j, struct controls *c, uint32_t images)
{
	struct efs *fs = j->fs;
	uint32_t used = 0, chain;

	chain = images_write(j, c, images, &used);
	chain = revokes_write(j, c, chain, &used);
	if (__atomic_exchange_n(&fs->data_written, false, __ATOMIC_ACQ_REL)) {
		int err = log_wait(j);             /* J2: not even in the device's cache may the commit come first */
		if (!err)
			err = block_flush(fs->bdev);
		if (err)
			return err;
	}
	struct efs_jcommit *commit = (struct efs_jcommit *)c->block[used];
	uint64_t now = clock_wall_ns();
	control_init(j, commit, EFS_MB_JCOMMIT);
	commit->controls = used;
	commit->images = images;
	commit->chain = chain;
	commit->time = now / NSEC;
	commit->time_ns = now % NSEC;
	efs_mb_seal(commit);
	log_write(j, commit);
	int err = log_wait(j);
	return err ? err : block_flush(fs->bdev);
}

/* The transaction is durable: what it freed may be used again, and the next one begins. */
static void
transaction_end(struct journal *j, uint32_t blocks)
{
	for (uint32_t i = 0; i < j->nfreed; i++)
		busy_change(j->fs, j->freed[i].block, j->freed[i].len, false);
	j->nfreed = j->nrevoked = j->nrunning = 0;
	j->used += blocks;
	j->seq++;
}

/* Everything committed goes home, and the log is free again. Requires: nothing is running. 0 or -EIO. */
static int
checkpoint(struct journal *j, bool close)
{
	int err = efs_bufs_write(j->fs);

	if (!err)
		err = block_flush(j->fs->bdev);
	if (!err)
		err = log_super_write(j, close ? 0 : j->head);         /* J5 */
	if (err)
		return journal_abort(j, "checkpoint", err);
	j->used = 0;
	j->home_next = false;
	j->active = !close;
	return 0;
}

/* Make all ended transactions durable (efs_txn_ops.commit).
 *
 * Returns:  1: done, and the device's cache was flushed; 0: there was nothing to commit; -EIO: the file system is (now)
 *           read-only; -ENOMEM: nothing was written, try again.
 */
int
journal_commit(struct efs *fs)
{
	struct journal *j = journal_of(fs);
	uint32_t images, blocks;

	if (fs->damaged)
		return errors_mark(j);
	wait_event(&efs_data_wait, !__atomic_load_n(&fs->ndata, __ATOMIC_ACQUIRE), (void *)NULL);    /* J2 */
	images = j->nrunning ? running_count(j) : 0;
	if (!images && !j->nfreed)
		return 0;
	blocks = blocks_needed(images, j->nrevoked);
	if (blocks > log_free(j))
		return journal_abort(j, "a transaction larger than the log", -ENOSPC);
	struct controls *c = controls_alloc(blocks - images);
	if (!c)
		return -ENOMEM;
	int err = transaction_write(j, c, images);
	controls_free(c);
	if (err) {
		journal_abort(j, "write", err);
		return errors_mark(j);
	}
	transaction_end(j, blocks);
	if (j->home_next || fs->ndirty > fs->limit)
		err = checkpoint(j, false);
	return err ? err : 1;
}

/* Before each transaction (efs_txn_ops.begin): there must be room in the log for it, whatever it does.
 * Returns 0; the error of the commit or checkpoint that was needed. */
int
journal_begin(struct efs *fs)
{
	struct journal *j = journal_of(fs);
	int err = 0;

	if (!j->active) {
		j->head = 1;
		j->used = 0;
		err = log_super_write(j, j->head);
		if (err)
			return journal_abort(j, "cannot be opened", err);
		j->active = true;
	}
	if (log_free(j) < blocks_needed(j->nrunning, j->nrevoked) + j->margin) {
		err = journal_commit(fs);
		if (err >= 0)
			err = checkpoint(j, false);
	}
	return err < 0 ? err : 0;
}

/* A clean end: everything home, the log empty (efs_txn_ops.close). */
int
journal_close(struct efs *fs)
{
	struct journal *j = journal_of(fs);
	int err = journal_commit(fs);

	return err < 0 ? err : j->active ? checkpoint(j, true) : 0;
}
