/* commit.c - the running transaction, its commit, and the way home.                            (lab 9)
 *
 * Idea.       Which buffers belong to the running transaction needs no list: they are the dirty ones with
 *             b->seq == j->seq. A commit, in the order that makes it safe:
 *
 *                 write control blocks and images
 *                 if there is new file data: wait for it, flush; if some failed, there
 *                 is no commit                                                         J2
 *                 write the commit block, flush                    the transaction is durable now
 *                 hand out what it freed                                               J3
 *
 *             Many operations share one commit: it runs when somebody waits for durability (fsync, sync),
 *             when the flusher comes by, and when the log or the cache runs full.
 * Interface.  journal.h; called through struct efs_txn_ops.
 * Invariants. journal.h's J1 to J6, J8.
 * Locks.      fs->lock, held by all callers through the whole commit.
 */
#include "fs/journal/journal.h"

#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/data.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

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
		list_remove(&b->link);
		list_push_back(&fs->dirty, &b->link);
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

/* The bitmap of busy blocks for block-map block k, made if need be; NULL: no memory. */
static uint64_t *
busy_map(struct journal *j, uint64_t k)
{
	uint64_t **map = &j->fs->busy[k];

	if (!*map)
		*map = kzalloc(EFS_BLOCK);
	if (!*map && j->nspare > 0)
		*map = j->spare[--j->nspare];
	return *map;
}

/* Set or clear the bits of [block, block+len) in fs->busy. Setting returns -ENOMEM: no bitmap for them. */
static int
busy_change(struct journal *j, uint64_t block, uint64_t len, bool value)
{
	while (len > 0) {
		uint32_t bit = block % EFS_MAP_BITS, n = 64 - bit % 64;
		uint64_t *map = busy_map(j, block / EFS_MAP_BITS);
		if (!map)
			return -ENOMEM;
		n = len < n ? len : n;
		uint64_t mask = (n == 64 ? ~0ul : (1ul << n) - 1) << bit % 64;
		map[bit / 64] = value ? map[bit / 64] | mask : map[bit / 64] & ~mask;
		block += n;
		len -= n;
	}
	return 0;
}

/* The running transaction frees these blocks: J3, and J6 for metadata.
 *
 * Does:     keeps them from being handed out before the commit. The memory for that was gotten by
  * journal_begin.
 */
void
journal_freed(struct efs *fs, uint64_t block, uint64_t len, bool metadata)
{
	struct journal *j = journal_of(fs);
	struct freed *last = j->nfreed ? &j->freed[j->nfreed - 1] : NULL;

	if (busy_change(j, block, len, true))
		efs_damage(fs, "no memory to keep freed blocks back");
	else if (last && last->block == block + len)
		*last = (struct freed){ block, last->len + len };
	else if (array_room((void **)&j->freed, j->nfreed, &j->room_freed, sizeof(*j->freed)) == 0)
		j->freed[j->nfreed++] = (struct freed){ block, len };
	j->nbusy += len;
	for (uint64_t i = 0; metadata && i < len; i++) {
		if (array_room((void **)&j->revoked, j->nrevoked, &j->room_revoked, sizeof(*j->revoked)) == 0)
			j->revoked[j->nrevoked++] = block + i;
		else
			j->home_next = true;
	}
}

/* ---- the commit ---- */

/* The log cannot be trusted to take more: no further changes (J8); what is committed is replayed at the next
 * mount. */
static int
journal_abort(struct journal *j, const char *what, int err)
{
	efs_damage(j->fs, "journal: %s: error %d", what, err);
	return -EIO;
}

/* Note in the superblock at home that damage was seen; of the running transaction nothing may go there
 * (J1). */
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

/* Have memory for n control blocks. 0 or -ENOMEM. */
static int
controls_need(struct journal *j, uint32_t n)
{
	for (; j->ncontrol < n; j->ncontrol++) {
		int err = array_room((void **)&j->control, j->ncontrol, &j->room_control, sizeof(*j->control));
		if (err)
			return err;
		if (!(j->control[j->ncontrol] = kzalloc(EFS_BLOCK)))
			return -ENOMEM;
	}
	return 0;
}

/* The buffers of the running transaction: how many; *first is the first of them in fs->dirty, where they
 * are the last. */
static uint32_t
running_count(struct journal *j, struct list **first)
{
	struct list *at = &j->fs->dirty;
	uint32_t n = 0;

	for (; at->prev != &j->fs->dirty && in_running(j, list_entry(at->prev, struct ebuf, link)); n++)
		at = at->prev;
	*first = at;
	return n;
}

/* Seal a buffer as it will be at home. Returns the checksum of all of it. */
static uint32_t
image_seal(struct journal *j, struct ebuf *b)
{
	b->sealed = true;
	if (b->magic == EBUF_SUPER) {
		((struct efs_super *)b->data)->seq = j->seq;
		efs_super_seal((struct efs_super *)b->data);
		return efs_super_image_crc((struct efs_super *)b->data);
	}
	((struct efs_mb *)b->data)->seq = j->seq;
	efs_mb_seal(b->data);
	return efs_mb_image_crc(b->data);
}

/* How many bytes of a control block are in use; the rest is zero. */
static uint32_t
control_used(const void *block)
{
	const struct efs_jdesc *d = block;
	const struct efs_jrevoke *r = block;

	switch (d->mb.magic) {
	case EFS_MB_JDESC:
		return offsetof(struct efs_jdesc, tags) + d->count * sizeof(d->tags[0]);
	case EFS_MB_JREVOKE:
		return offsetof(struct efs_jrevoke, blocks) + r->count * sizeof(r->blocks[0]);
	default:
		return offsetof(struct efs_jcommit, zero);
	}
}

/* Empty a control block and give it a head: its number is its place on the disk. */
static void
control_init(struct journal *j, void *block, uint32_t magic)
{
	memset(block, 0, control_used(block));
	efs_mb_head(block, magic, log_place(j, j->head), j->fs->sb->fsid, 0);
	((struct efs_mb *)block)->seq = j->seq;
}

static uint32_t
control_seal(void *block, uint32_t chain)
{
	struct efs_mb *mb = block;

	efs_mb_seal_short(mb, control_used(mb));
	return crc32c(chain, &mb->crc, sizeof(mb->crc));
}

/* Write descriptors with their images, from link `at` of the dirty list on. Returns the chain of checksums;
 * *used: control blocks used up. */
static uint32_t
images_write(struct journal *j, struct list *at, uint32_t images, uint32_t *used)
{
	uint32_t chain = 0;

	while (images > 0) {
		struct efs_jdesc *d = (struct efs_jdesc *)j->control[*used];
		struct ebuf *batch[EFS_JTAGS];
		uint32_t n = images < EFS_JTAGS ? images : EFS_JTAGS;
		control_init(j, d, EFS_MB_JDESC);
		d->count = n;
		d->index = (*used)++;
		for (uint32_t i = 0; i < n; i++, at = at->next) {
			batch[i] = list_entry(at, struct ebuf, link);
			d->tags[i].block = batch[i]->block;
			d->tags[i].crc = image_seal(j, batch[i]);
		}
		chain = control_seal(d, chain);
		log_write(j, d);
		for (uint32_t i = 0; i < n; i++)
			log_write(j, batch[i]->data);
		images -= n;
	}
	return chain;
}

static uint32_t
revokes_write(struct journal *j, uint32_t chain, uint32_t *used)
{
	for (uint32_t done = 0; done < j->nrevoked;) {
		struct efs_jrevoke *r = (struct efs_jrevoke *)j->control[*used];
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

/* Until no file data is under way: a flush that comes now covers all of it. */
static void
data_wait(struct efs *fs)
{
	wait_event(&efs_data_wait, !__atomic_load_n(&fs->ndata, __ATOMIC_ACQUIRE), (void *)NULL);
}

/* File data that the running transaction makes reachable, and what there is of that in the log so far,
 * becomes durable; both are under way at the same time. Returns 0 or the first error; nothing is under way
 * any more. */
static int
data_durable(struct journal *j)
{
	struct efs *fs = j->fs;

	log_start(j);
	data_wait(fs);
	int err = log_wait(j), lost = __atomic_load_n(&fs->data_error, __ATOMIC_RELAXED);
	if (!err)
		err = lost ? lost : block_flush(fs->bdev);
	if (!err)
		fs->data_written = false;
	return err;
}

/* Write the running transaction and make it durable. Returns 0 or the first error. */
static int
transaction_write(struct journal *j, struct list *first, uint32_t images)
{
	struct efs *fs = j->fs;
	uint32_t used = 0, chain;

	chain = images_write(j, first, images, &used);
	chain = revokes_write(j, chain, &used);
	if (fs->data_written) {
		int err = data_durable(j);         /* J2: not even in the device's cache may the commit come first */
		if (err)
			return err;
	}
	assert(!fs->data_written && !fs->data_error);	/* J2 */
	struct efs_jcommit *commit = (struct efs_jcommit *)j->control[used];
	uint64_t now = clock_wall_ns();
	control_init(j, commit, EFS_MB_JCOMMIT);
	commit->controls = used;
	commit->images = images;
	commit->chain = chain;
	commit->time = now / NSEC;
	commit->time_ns = now % NSEC;
	control_seal(commit, 0);
	log_write(j, commit);
	log_start(j);
	data_wait(fs);
	int err = log_wait(j);
	return err ? err : block_flush(fs->bdev);
}

/* The transaction is durable: what it freed may be used again, and the next one begins. */
static void
transaction_end(struct journal *j, uint32_t blocks)
{
	for (uint32_t i = 0; i < j->nfreed; i++)
		busy_change(j, j->freed[i].block, j->freed[i].len, false);
	j->nfreed = j->nrevoked = j->nrunning = 0;
	j->nbusy = 0;
	j->fs->epoch++;
	j->used += blocks;
	assert(j->used < j->length && j->active);		/* J5 */
	j->seq++;
}

/* Everything committed goes home, and the log is free again. Requires: nothing is running. 0 or -EIO. */
static int
checkpoint(struct journal *j, bool close)
{
	list_for_each(b, &j->fs->dirty, struct ebuf, link)
		assert(!in_running(j, b));		/* J1 */
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
 * Returns:  1: done, and the device's cache was flushed; 0: there was nothing to commit; -EIO: the file
 *           system is (now) read-only; -ENOMEM: nothing was written, try again.
 */
int
journal_commit(struct efs *fs)
{
	struct journal *j = journal_of(fs);
	uint32_t images, blocks;
	struct list *first;

	if (fs->damaged)
		return fs->sb->state & EFS_ERRORS ? errors_mark(j) : 0;
	images = running_count(j, &first);
	if (!images && !j->nfreed) {
		data_wait(fs);
		return 0;
	}
	blocks = blocks_needed(images, j->nrevoked);
	if (blocks > log_free(j))
		return journal_abort(j, "a transaction larger than the log", -ENOSPC);
	if (controls_need(j, blocks - images))
		return -ENOMEM;
	uint32_t end = log_after(j, j->head, blocks);
	int err = transaction_write(j, first, images);
	if (err) {
		journal_abort(j, fs->data_error ? "data that this transaction would show" : "write", err);
		return errors_mark(j);
	}
	assert(j->head == end);				/* J4 */
	transaction_end(j, blocks);
	if (j->home_next || fs->ndirty > fs->limit)
		err = checkpoint(j, false);
	return err ? err : 1;
}

/* The log is empty and the disk says so: say that it is in use from now on. */
static int
journal_open(struct journal *j)
{
	j->head = 1;
	j->used = 0;
	int err = log_super_write(j, j->head);
	if (err)
		return journal_abort(j, "cannot be opened", err);
	j->active = true;
	return 0;
}

/* Memory for what a transaction may do until it is asked about efs_full() again. 0 or -ENOMEM. */
static int
memory_ready(struct journal *j)
{
	for (; j->nspare < BUSY_SPARES; j->nspare++)
		if (!(j->spare[j->nspare] = kzalloc(EFS_BLOCK)))
			break;
	if (j->nspare <= BUSY_SPARES / 2)
		return -ENOMEM;
	int err = array_room((void **)&j->freed, j->nfreed + FREED_STEP, &j->room_freed, sizeof(*j->freed));
	return err ? err : controls_need(j, j->nrunning / EFS_JTAGS + j->nrevoked / EFS_JREVOKES + 5);
}

static bool
log_low(const struct journal *j)
{
	return log_free(j) < blocks_needed(j->nrunning, j->nrevoked) + j->margin || j->fs->ndirty > j->fs->limit;
}

/* Has the transaction under way used up most of what journal_begin made sure of (efs_txn_ops.full)? */
bool
journal_full(struct efs *fs)
{
	struct journal *j = journal_of(fs);

	return log_free(j) < blocks_needed(j->nrunning, j->nrevoked) + LOG_STEP || j->nspare < BUSY_SPARES / 2 ||
		j->nfreed + FREED_STEP / 2 > j->room_freed || fs->ndirty > 2 * fs->limit;
}

/* Before each transaction (efs_txn_ops.begin): there must be room in the log and memory for it, whatever it
 * does; and on a full disk, blocks freed by those before it.
 * Returns 0, -ENOMEM; the error of the commit or checkpoint that was needed. */
int
journal_begin(struct efs *fs)
{
	struct journal *j = journal_of(fs);
	int err = j->active ? 0 : journal_open(j);

	if (err)
		return err;
	if (log_low(j) || (j->nbusy && fs->sb->free_blocks < j->nbusy + BLOCKS_LOW)) {
		err = journal_commit(fs);
		if (err >= 0)
			err = log_low(j) ? checkpoint(j, false) : 0;
	}
	return err < 0 ? err : memory_ready(j);
}

/* A clean end: everything home, the log empty (efs_txn_ops.close). */
int
journal_close(struct efs *fs)
{
	struct journal *j = journal_of(fs);
	int err = journal_commit(fs);

	return err < 0 ? err : j->active ? checkpoint(j, true) : 0;
}
