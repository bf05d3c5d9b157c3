/* txn.c - transactions: the slot that a journal fills.                                         (lab 8)
 *
 * Idea.       Every change of metadata happens between efs_begin() and efs_end(), under fs->lock, so at
 *             efs_end() the buffers are consistent. Without a journal that is all: dirty buffers go home in
 *             any order, and a crash in between needs fsck. With one, the same calls make each transaction
 *             reach the disk whole or not at all.
 * Interface.  efs_begin, efs_end, efs_commit; efs_txn_register for the journal.
 * Invariants. I1 between efs_begin and efs_end fs->lock is held. I2 fs->txn is never NULL.
 * Locks.      fs->lock.
 */
#include "fs/eclipsefs/efs.h"

#include "kern/boot/print.h"
#include "lib/abi/errno.h"

static const struct efs_txn_ops none;
static const struct efs_txn_ops *registered = &none;

/* File systems mounted from now on use this journal. Called once at boot. */
void
efs_txn_register(const struct efs_txn_ops *ops)
{
	registered = ops;
}

const struct efs_txn_ops *
efs_txn_ops(void)
{
	return registered;
}

/* Begin to change metadata. May sleep.
 *
 * Returns: 0, with fs->lock held; -EROFS; -EIO: damaged, so read-only; -ENOMEM; the journal's error.
 */
int
efs_begin(struct efs *fs)
{
	mutex_lock(&fs->lock);
	int err = efs_restart(fs);
	if (err)
		mutex_unlock(&fs->lock);
	return err;
}

/* Where a long change may stop for a moment, being consistent: what was changed so far ends, another transaction begins.
 * Requires: fs->lock. Returns 0; as efs_begin: nothing more may be changed, but efs_end is still due. */
int
efs_restart(struct efs *fs)
{
	if (fs->readonly)
		return fs->damaged ? -EIO : -EROFS;
	int err = efs_spares_fill(fs);
	return err ? err : fs->txn->begin ? fs->txn->begin(fs) : 0;
}

/* Should a change that can be split go on in another transaction? */
bool
efs_full(struct efs *fs)
{
	return fs->nspares < EFS_SPARES / 2 || (fs->txn->full && fs->txn->full(fs));
}

/* The change is complete. Without a journal, very many dirty buffers are written now. */
void
efs_end(struct efs *fs)
{
	assert(mutex_held(&fs->lock));
	if (fs->txn->end)
		fs->txn->end(fs);
	if (!fs->txn->commit && fs->ndirty > fs->limit)
		efs_bufs_write(fs);
	mutex_unlock(&fs->lock);
}

static int
commit_locked(struct efs *fs)
{
	if (fs->txn->commit)
		return fs->txn->commit(fs);
	int err = efs_bufs_write(fs);
	fs->epoch += !err;
	return err;
}

/* Empty the device's cache. When that fails, something that was written is lost; nobody knows what, and the next flush will succeed
 * without it. So nothing is promised any more.
 * Requires: no lock of this lab. Returns 0 or -errno. May sleep. */
int
efs_flush(struct efs *fs)
{
	int err = block_flush(fs->bdev);

	if (err) {
		mutex_lock(&fs->lock);
		efs_damage(fs, "flush: error %d", err);
		mutex_unlock(&fs->lock);
	}
	return err;
}

/* Everything that ended before goes to the disk; flush: and past the device's cache.
 *
 * Requires: no lock of this lab; the file data that matters has been written.
 * Returns:  0, -EIO. May sleep.
 */
int
efs_commit(struct efs *fs, bool flush)
{
	mutex_lock(&fs->lock);
	int err = commit_locked(fs);
	mutex_unlock(&fs->lock);
	if (!err && flush)
		err = efs_flush(fs);
	return err < 0 ? err : 0;
}

/* The same, flushed, for a change that was made when fs->epoch was `epoch`: many that wait share one commit.
 * Requires, returns: as efs_commit; epoch was read with fs->lock held. */
int
efs_commit_since(struct efs *fs, uint64_t epoch)
{
	mutex_lock(&fs->lock);
	int err = fs->epoch == epoch ? commit_locked(fs) : fs->txn->commit != NULL;
	mutex_unlock(&fs->lock);
	if (err == 0)
		err = efs_flush(fs);
	return err < 0 ? err : 0;
}
