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
 * Returns: 0, with fs->lock held; -EROFS; the journal's error.
 */
int
efs_begin(struct efs *fs)
{
	mutex_lock(&fs->lock);
	int err = fs->readonly ? -EROFS : fs->txn->begin ? fs->txn->begin(fs) : 0;
	if (err)
		mutex_unlock(&fs->lock);
	return err;
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

/* Everything that ended before goes to the disk; flush: and past the device's cache.
 *
 * Requires: no lock of this lab; the file data that matters has been written.
 * Returns:  0, -EIO. May sleep.
 */
int
efs_commit(struct efs *fs, bool flush)
{
	mutex_lock(&fs->lock);
	int err = fs->txn->commit ? fs->txn->commit(fs) : efs_bufs_write(fs);
	mutex_unlock(&fs->lock);
	if (!err && flush)
		err = block_flush(fs->bdev);
	return err < 0 ? err : 0;
}
