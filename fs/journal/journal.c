/* journal.c - lab 9 fills lab 8's slot: file systems mounted from now on lose nothing.          (lab 9)
 *
 * Idea.       journal.h tells it; this file only connects. Nothing of lab 8 changes: without these files the
 *             same calls are there, and a crash needs fsck.
 * Interface.  Registered on the last lines.
 * Invariants. I1 fs->journal is NULL or fully set up.
 * Locks.      fs->lock, held by the callers of all but unmount.
 */
#include "fs/journal/journal.h"

#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"

static void
journal_free(struct journal *j)
{
	for (uint32_t i = 0; i < j->ncontrol; i++)
		kfree(j->control[i]);
	while (j->nspare > 0)
		kfree(j->spare[--j->nspare]);
	kfree(j->control);
	kfree(j->super);
	kfree(j->freed);
	kfree(j->revoked);
	kfree(j);
}

/* efs_txn_ops.mount: replay, and be ready. Returns 0, 1: replayed something, -EIO, -EROFS, -ENOMEM, -EFBIG:
 * the log is too large. */
static int
journal_mount(struct efs *fs)
{
	struct journal *j = kzalloc(sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->fs = fs;
	j->area = fs->sb->journal_start;
	j->length = fs->sb->journal_blocks;
	j->margin = (j->length - 1) / 4 > LOG_STEP + 8 ? (j->length - 1) / 4 : LOG_STEP + 8;
	j->super = kmalloc(EFS_BLOCK);
	fs->journal = j;
	long err = !j->super ? -ENOMEM : fs->sb->journal_blocks > LOG_BLOCKS_MAX ? -EFBIG : journal_recover(j);
	if (err < 0) {
		klog(LOG_ERR, "eclipsefs %s: journal: error %ld\n", fs->bdev->name, err);
		fs->journal = NULL;
		journal_free(j);
	}
	return err < 0 ? err : err > 0;
}

/* efs_txn_ops.unmount: after the last close. */
static void
journal_unmount(struct efs *fs)
{
	if (fs->journal)
		journal_free(journal_of(fs));
	fs->journal = NULL;
}

static const struct efs_txn_ops journal_ops = {
	.mount = journal_mount,
	.unmount = journal_unmount,
	.begin = journal_begin,
	.dirty = journal_dirty,
	.freed = journal_freed,
	.commit = journal_commit,
	.close = journal_close,
	.full = journal_full,
};

static void
journal_init(void)
{
	efs_txn_register(&journal_ops);
}

INITCALL(9, journal_init);
