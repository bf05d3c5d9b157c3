/* einode.c - inodes between the disk, struct einode and the VFS.                               (lab 8)
 *
 * Idea.       The VFS keeps what stat shows (struct inode), we keep the extents and the rest (struct
 *             einode). A change that must be atomic with others stores the inode into its table block in
 *             the same transaction; mere attributes are stored when the VFS says so (efs_inode_write).
 *
 *                 efs_inode_make                       efs_orphan_add                   efs_inode_evict
 *             free ----------------> in use, has names ----------------> orphan, still open
 * --------------> free
 *
 *             Orphans are on a list on the disk, so that a crash does not lose their space.
 * Interface.  efs.h.
 * Invariants. I1 fs->orphans mirrors the list on the disk. I2 an inode number is free only after its struct
 *             inode has left the VFS's hash (efs_inode_evict), so a new one never meets the old one.
 * Locks.      fs->lock.
 */
#include "fs/eclipsefs/efs.h"

#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

static const struct dir_ops *dir_ops;
static const struct inode_ops *file_iops, *link_iops;

/* The tables of names.c and data.c, which come after us. Called once at boot. */
void
efs_inode_set_ops(const struct dir_ops *dops, const struct inode_ops *file, const struct inode_ops *link)
{
	dir_ops = dops;
	file_iops = file;
	link_iops = link;
}

static int64_t
time_join(int64_t s, uint32_t ns)
{
	const int64_t most = INT64_MAX / (int64_t)NSEC - 1;

	s = s > most ? most : s < -most ? -most : s;
	return s * (int64_t)NSEC + ns;
}

static void
time_split(int64_t t, int64_t *s, uint32_t *ns)
{
	int64_t rest = t % (int64_t)NSEC;

	*s = t / (int64_t)NSEC - (rest < 0);
	*ns = rest < 0 ? rest + (int64_t)NSEC : rest;
}

/* The inode-table block of `ino`. */
static int
table_get(struct efs *fs, uint32_t ino, struct ebuf **b, struct efs_inode **slot)
{
	int err = efs_buf_get(fs, efs_inode_block_of(fs->sb, ino), EFS_MB_INODES, 0, b);

	if (!err)
		*slot = &((struct efs_inode_block *)(*b)->data)->inodes[efs_inode_slot_of(ino)];
	return err;
}

/* Fill the VFS's inode from ours. */
static void
inode_fill(struct inode *ip, struct einode *ei)
{
	const struct efs_inode *di = &ei->di;

	ei->ip = ip;
	list_init(&ei->orphan_link);
	ip->priv = ei;
	ip->mode = di->mode;
	ip->nlink = di->nlink;
	ip->uid = di->uid;
	ip->gid = di->gid;
	ip->rdev = di->rdev;
	ip->size = di->size;
	efs_blocks_show(ei);
	ip->atime = time_join(di->atime, di->atime_ns);
	ip->mtime = time_join(di->mtime, di->mtime_ns);
	ip->ctime = time_join(di->ctime, di->ctime_ns);
	ip->iops = S_ISLNK(di->mode) ? link_iops : file_iops;
	ip->dops = S_ISDIR(di->mode) ? dir_ops : NULL;
	ip->fops = NULL;           /* by type */
}

/* Read inode `ino` into a struct einode. */
static int
inode_read(struct efs *fs, uint32_t ino, struct einode *ei)
{
	struct efs_inode *slot;
	struct ebuf *b;
	int used = efs_ino_used(fs, ino);

	if (used < 0)
		return used;
	if (!used)
		return efs_damage(fs, "inode %u is not in use", ino);
	int err = table_get(fs, ino, &b, &slot);
	if (err)
		return err;
	ei->di = *slot;
	efs_buf_put(fs, b);
	const char *wrong = ei->di.mode ? efs_inode_check(fs->sb, &ei->di) : "free, but in use in the map";
	return wrong ? efs_damage(fs, "inode %u: %s", ino, wrong) : 0;
}

/* Inode `ino`, referenced; read unless the VFS has it.
 *
 * Requires: fs->lock not held; sb->ns held, or a mount that is not finished.
 * Returns:  0; -EIO: damaged, or the disk failed; -ENOMEM. May sleep.
 */
int
efs_inode_load(struct super *sb, uint32_t ino, struct inode **out)
{
	struct efs *fs = sb->priv;
	int err = inode_get(sb, ino, out);

	if (err || !((*out)->flags & I_NEW))
		return err;
	struct einode *ei = kzalloc(sizeof(*ei));
	mutex_lock(&fs->lock);
	err = ei ? inode_read(fs, ino, ei) : -ENOMEM;
	mutex_unlock(&fs->lock);
	if (err) {
		kfree(ei);
		inode_fail_new(*out);
		return err;
	}
	inode_fill(*out, ei);
	inode_unlock_new(*out);
	return 0;
}

/* A struct einode for the fresh inode `ino`, its table block being there. */
static int
einode_make(struct efs *fs, uint32_t ino, bool fresh, struct einode **out)
{
	struct efs_inode *slot;
	struct ebuf *b;
	int err = fresh ? efs_buf_new(fs, efs_inode_block_of(fs->sb, ino), EFS_MB_INODES, 0, &b) : 0;

	if (err)
		return err;
	if (fresh)
		efs_buf_put(fs, b);
	err = table_get(fs, ino, &b, &slot);
	if (err)
		return err;
	struct einode *ei = kzalloc(sizeof(*ei));
	if (ei)
		ei->di.generation = slot->generation + 1;
	efs_buf_put(fs, b);
	*out = ei;
	return ei ? 0 : -ENOMEM;
}

/* Make a new inode with nlink 0, not stored yet, on no list: the caller stores it with a name, or unmakes it.
 *
 * Requires: in a transaction; sb->ns held.
 * Returns:  0 with *out referenced and I_NEW; -ENOSPC, -ENOMEM, -EIO.
 */
int
efs_inode_make(struct super *sb, uint32_t mode, uint32_t rdev, struct inode **out)
{
	struct efs *fs = sb->priv;
	struct einode *ei;
	uint32_t ino;
	bool fresh;
	int err = efs_ino_alloc(fs, &ino, &fresh);

	if (err)
		return err;
	err = einode_make(fs, ino, fresh, &ei);
	if (err)
		goto no_einode;
	err = inode_get(sb, ino, out);
	if (!err && !((*out)->flags & I_NEW))
		err = efs_damage(fs, "inode %u was free, but is open", ino);
	if (err)
		goto no_inode;
	ei->changed = true;
	ei->di.mode = mode;
	ei->di.rdev = rdev;
	time_split(clock_wall_ns(), &ei->di.btime, &ei->di.btime_ns);
	inode_fill(*out, ei);
	(*out)->atime = (*out)->mtime = (*out)->ctime = time_join(ei->di.btime, ei->di.btime_ns);
	return 0;

no_inode:
	kfree(ei);
no_einode:
	efs_ino_free(fs, ino);
	return err;
}

/* The inode's slot says "free" again. */
static int
slot_clear(struct efs *fs, struct inode *ip)
{
	struct efs_inode *slot;
	struct ebuf *b;
	int err = table_get(fs, ip->ino, &b, &slot);

	if (err)
		return err;
	*slot = (struct efs_inode){ .generation = einode_of(ip)->di.generation };
	efs_buf_dirty(fs, b);
	efs_buf_put(fs, b);
	return 0;
}

/* Take back efs_inode_make. Requires: in the same transaction; no name leads to it. */
void
efs_inode_unmake(struct inode *ip)
{
	struct efs *fs = efs_of(ip);
	struct einode *ei = einode_of(ip);

	bool more;
	efs_extent_cut(fs, ei, 0, &more);		/* at most the target of a symlink */
	if (slot_clear(fs, ip) == 0)
		efs_ino_free(fs, ip->ino);
	ip->priv = NULL;
	kfree(ei);
	inode_fail_new(ip);
}

/* The size to be stored. Data comes before the metadata that names it: while pages of a regular file wait to be written,
 * its size on the disk stays what it is, and data_write() moves it on. (Should pages have got lost, nothing waits.) */
static void
size_settle(struct inode *ip, struct einode *ei)
{
	bool waiting = S_ISREG(ip->mode) && (__atomic_load_n(&ip->ndirty, __ATOMIC_RELAXED) ||
		__atomic_load_n(&ip->nwriteback, __ATOMIC_ACQUIRE));
	uint64_t size = waiting && ei->di.size < ip->size ? ei->di.size : ip->size;

	ei->changed |= ei->di.size != size;
	ei->di.size = size;
}

/* Put the inode as it is now into its table block. Requires: in a transaction. Returns 0, -EIO, -ENOMEM. */
int
efs_inode_store(struct efs *fs, struct inode *ip)
{
	struct einode *ei = einode_of(ip);
	struct efs_inode *slot, *di = &ei->di;
	struct ebuf *b;
	int err = table_get(fs, ip->ino, &b, &slot);

	if (err)
		return err;
	size_settle(ip, ei);
	di->mode = ip->mode;
	di->nlink = ip->nlink;
	di->uid = ip->uid;
	di->gid = ip->gid;
	time_split(ip->atime, &di->atime, &di->atime_ns);
	time_split(ip->mtime, &di->mtime, &di->mtime_ns);
	time_split(ip->ctime, &di->ctime, &di->ctime_ns);
	efs_blocks_show(ei);
	*slot = *di;
	efs_buf_dirty(fs, b);
	efs_buf_put(fs, b);
	ei->stored_in = fs->epoch;
	if (ei->changed)
		ei->changed_in = fs->epoch;
	ei->changed = false;
	return 0;
}

/* Something failed on the way: what did change of the inode's extents must not be left out of this transaction. */
void
efs_inode_settle(struct efs *fs, struct inode *ip)
{
	if (einode_of(ip)->changed)
		efs_inode_store(fs, ip);
}

/* Free the blocks of the file from logical block `from` on, and store the inode.
 *
 * Requires: in a transaction; afterwards, too, but it may be a later one.
 * Returns:  0, -EIO, -ENOMEM, the journal's error: what was cut is cut.
 */
int
efs_inode_cut(struct efs *fs, struct inode *ip, uint32_t from)
{
	for (;;) {
		bool more;
		int err = efs_extent_cut(fs, einode_of(ip), from, &more);
		int stored = efs_inode_store(fs, ip);
		err = err ? err : stored;
		if (err || !more)
			return err;
		err = efs_restart(fs);
		if (err)
			return err;
	}
}

/* super_ops.write_inode: attributes changed. */
int
efs_inode_write(struct inode *ip)
{
	struct efs *fs = efs_of(ip);
	int err = efs_begin(fs);

	if (err)
		return err == -EROFS || fs->damaged ? 0 : err;
	err = efs_inode_store(fs, ip);
	bool rest = einode_of(ip)->di.size != ip->size;
	efs_end(fs);
	if (rest)
		inode_dirty(ip);		/* its size: when the pages are written */
	return err;
}

/* ---- orphans ---- */

/* The inode has lost its last name: put it on the list, and store it. Requires: in a transaction;
 * ip->nlink == 0. */
int
efs_orphan_add(struct efs *fs, struct inode *ip)
{
	struct einode *ei = einode_of(ip);

	ei->di.next_orphan = fs->sb->orphans;
	int err = efs_inode_store(fs, ip);
	if (err)
		return err;
	fs->sb->orphans = ip->ino;
	efs_buf_dirty(fs, fs->sbuf);
	list_push_front(&fs->orphans, &ei->orphan_link);
	return 0;
}

/* The orphan before `ei` on the disk's list now leads to the one after it. It may be one that could not be freed and is not
 * in memory any more, so look at the table. */
static int
orphan_bypass(struct efs *fs, struct einode *ei)
{
	struct list *before = ei->orphan_link.prev;
	struct einode *prev = before != &fs->orphans ? list_entry(before, struct einode, orphan_link) : NULL;
	uint32_t ino = prev && prev->di.next_orphan == ei->ip->ino ? prev->ip->ino : fs->sb->orphans, next;

	for (uint32_t n = 0; ino && n < fs->sb->h.total_inodes; n++, ino = next) {
		struct efs_inode *slot;
		struct ebuf *b;
		int err = table_get(fs, ino, &b, &slot);
		if (err)
			return err;
		next = slot->next_orphan;
		if (next == ei->ip->ino) {
			slot->next_orphan = ei->di.next_orphan;
			efs_buf_dirty(fs, b);
			if (prev && prev->ip->ino == ino)
				prev->di.next_orphan = ei->di.next_orphan;
		}
		efs_buf_put(fs, b);
		if (next == ei->ip->ino)
			return 0;
	}
	return efs_damage(fs, "inode %lu has got lost from the orphan list", ei->ip->ino);
}

/* Take it off again. Requires: in a transaction. */
int
efs_orphan_remove(struct efs *fs, struct inode *ip)
{
	struct einode *ei = einode_of(ip);

	if (list_empty(&ei->orphan_link))
		return 0;
	if (fs->sb->orphans == ip->ino) {
		fs->sb->orphans = ei->di.next_orphan;
		efs_buf_dirty(fs, fs->sbuf);
	} else {
		int err = orphan_bypass(fs, ei);
		if (err)
			return err;
	}
	ei->di.next_orphan = 0;
	list_remove(&ei->orphan_link);
	return 0;
}

/* Free an inode without names, and its blocks. Requires: in a transaction; cut off between two it is an orphan still. */
static int
inode_free(struct efs *fs, struct inode *ip)
{
	int err = efs_inode_cut(fs, ip, 0);

	if (!err)
		err = efs_orphan_remove(fs, ip);
	if (!err)
		err = slot_clear(fs, ip);
	return err ? err : efs_ino_free(fs, ip->ino);
}

/* super_ops.evict: the VFS forgets the inode; its pages are gone. Without names it is freed. Takes no lock
 * unless so. */
void
efs_inode_evict(struct inode *ip)
{
	struct efs *fs = efs_of(ip);
	struct einode *ei = einode_of(ip);

	if (!ei)
		return;
	for (uint32_t i = 0; i < ei->ndelayed; i++)
		efs_blocks_unpromise(fs, ei->delayed[i].len);
	if (ip->nlink == 0 && efs_begin(fs) == 0) {
		int err = inode_free(fs, ip);
		if (err)
			klog(LOG_WARN, "eclipsefs %s: inode %lu could not be freed: error %d\n", fs->bdev->name, ip->ino, err);
		efs_end(fs);
	}
	if (!list_empty(&ei->orphan_link)) {
		mutex_lock(&fs->lock);
		list_remove(&ei->orphan_link);
		mutex_unlock(&fs->lock);
	}
	efs_index_free(ei->index);
	kfree(ei->blocks);
	kfree(ei->delayed);
	kfree(ei);
}
