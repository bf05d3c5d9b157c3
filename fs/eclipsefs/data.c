/* data.c - file contents: pages to and from the disk, delayed allocation, truncation.          (lab 8)
 *
 * Idea.       A write only promises blocks (efs_reserve) and notes which logical blocks are waiting:
 *             ei->delayed. When the page cache writes the pages back, blocks are chosen for a whole run at
 *             once, so a file written piece by piece still becomes one extent, and a file deleted before
 *             that never touches the disk.
 *
 *                 hole --efs_reserve--> delayed --write_pages--> mapped
 *                   ^----- truncate ------'------- truncate ------'
 *
 *             A request is one struct data_io: a bio for pages that are together on the disk, freed by its
 *             completion.
 * Interface.  The inode_ops at the end, by efs_inode_set_ops() in names.c.
 * Invariants. I1 a dirty page is mapped or delayed. I2 the sum of all delayed lengths is fs->reserved.
 *             I3 data is submitted inside the transaction that maps it and counted in fs->ndata until it is
 *             on the disk, so that a journal can wait for it before it commits. I4 the size on the disk does not
 *             name data that waits in dirty pages.
 * Locks.      ip->lock (the VFS's, for size), fs->lock.
 */
#include "fs/eclipsefs/data.h"

#include "fs/vfs/pcache.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define SECTORS_PER_BLOCK (EFS_BLOCK / SECTOR_SIZE)

struct waitq efs_data_wait = WAITQ(efs_data_wait);

struct data_io {
	struct bio bio;
	struct efs *fs;
	bool fresh;			/* a write that only the running transaction makes visible */
	int n;
	struct page *pages[PC_BATCH];
	struct bio_vec vec[PC_BATCH];
};

/* ---- delayed blocks ---- */

/* Index of the first delayed run that ends after `logical`. */
static uint32_t
delayed_find(const struct einode *ei, uint32_t logical)
{
	uint32_t lo = 0, hi = ei->ndelayed;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (ei->delayed[mid].logical + ei->delayed[mid].len <= logical)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Open a gap for one more run at index i. */
static int
delayed_open(struct einode *ei, uint32_t i)
{
	if (ei->ndelayed == ei->delayed_room) {
		uint32_t room = ei->delayed_room * 2 + 4;
		struct delayed *d = krealloc(ei->delayed, room * sizeof(*d));
		if (!d)
			return -ENOMEM;
		ei->delayed = d;
		ei->delayed_room = room;
	}
	memmove(ei->delayed + i + 1, ei->delayed + i, (ei->ndelayed++ - i) * sizeof(*ei->delayed));
	return 0;
}

/* Note [logical, logical+len), which is a hole and not delayed. */
static int
delayed_add(struct einode *ei, uint32_t logical, uint32_t len)
{
	uint32_t i = delayed_find(ei, logical);
	struct delayed *before = i > 0 ? &ei->delayed[i - 1] : NULL;

	if (before && before->logical + before->len == logical) {
		before->len += len;
		return 0;
	}
	if (i < ei->ndelayed && logical + len == ei->delayed[i].logical) {
		ei->delayed[i].logical = logical;
		ei->delayed[i].len += len;
		return 0;
	}
	int err = delayed_open(ei, i);
	if (!err)
		ei->delayed[i] = (struct delayed){ logical, len };
	return err;
}

/* Forget what is delayed in [from, to) and take its promises back. Out of memory: some stays promised,
 * which is harmless. */
static void
delayed_drop(struct efs *fs, struct einode *ei, uint32_t from, uint32_t to)
{
	for (uint32_t i = delayed_find(ei, from); i < ei->ndelayed && ei->delayed[i].logical < to;) {
		struct delayed *d = &ei->delayed[i];
		uint32_t end = d->logical + d->len, lo = d->logical > from ? d->logical : from, hi = end < to ? end : to;
		if (lo > d->logical && hi < end) {
			if (delayed_open(ei, i))
				return;
			d = &ei->delayed[i];
			d->len = lo - d->logical;
			d[1] = (struct delayed){ hi, end - hi };
			i = ei->ndelayed;
		} else if (lo > d->logical) {
			d->len = lo - d->logical;
			i++;
		} else if (hi < end) {
			*d = (struct delayed){ hi, end - hi };
			i = ei->ndelayed;
		} else {
			memmove(d, d + 1, (--ei->ndelayed - i) * sizeof(*d));
		}
		ei->waiting -= hi - lo;
		efs_blocks_unpromise(fs, hi - lo);
	}
}

/* Length of what begins at `logical`, at most n: *hole says whether it is neither mapped nor delayed. */
static int
piece_at(struct efs *fs, struct einode *ei, uint32_t logical, uint32_t n, uint32_t *len, bool *hole)
{
	uint32_t i = delayed_find(ei, logical);
	uint64_t block;

	*hole = false;
	if (i < ei->ndelayed && ei->delayed[i].logical <= logical) {
		*len = ei->delayed[i].logical + ei->delayed[i].len - logical;
	} else {
		int err = efs_extent_map(fs, ei, logical, &block, len);
		if (err)
			return err;
		*hole = block == 0;
		if (*hole && i < ei->ndelayed && ei->delayed[i].logical - logical < *len)
			*len = ei->delayed[i].logical - logical;
	}
	if (*len > n)
		*len = n;
	return 0;
}

/* Count the holes of [logical, logical+n); add: and make them delayed. */
static int
holes_walk(struct efs *fs, struct einode *ei, uint32_t logical, uint32_t n, bool add, uint64_t *count)
{
	while (n > 0) {
		uint32_t len;
		bool hole;
		int err = piece_at(fs, ei, logical, n, &len, &hole);
		if (!err && hole && add)
			err = delayed_add(ei, logical, len);
		if (err)
			return err;
		if (hole && add)
			ei->waiting += len;
		*count += hole ? len : 0;
		logical += len;
		n -= len;
	}
	return 0;
}

/* inode_ops.reserve: a write to [off, off+len) is about to make pages dirty.
 * Returns: 0: write-back will find room for them; -ENOSPC, -EROFS, -EFBIG, -EIO, -ENOMEM. */
static int
data_reserve(struct inode *ip, uint64_t off, uint64_t len)
{
	struct efs *fs = efs_of(ip);
	struct einode *ei = einode_of(ip);
	uint64_t need = 0, added = 0;

	if (len == 0)
		return 0;
	if (off > EFS_MAX_SIZE || len > EFS_MAX_SIZE - off)
		return -EFBIG;
	uint32_t first = off >> EFS_BLOCK_BITS, n = ((off + len - 1) >> EFS_BLOCK_BITS) - first + 1;
	mutex_lock(&fs->lock);
	int err = fs->readonly ? -EROFS : holes_walk(fs, ei, first, n, false, &need);
	if (!err && need > 0) {
		err = efs_blocks_promise(fs, need);
		if (!err) {
			err = holes_walk(fs, ei, first, n, true, &added);
			efs_blocks_unpromise(fs, need - added);
			efs_blocks_show(ei);
		}
	}
	mutex_unlock(&fs->lock);
	return err;
}

/* ---- requests ---- */

static void
read_done(struct bio *b)
{
	struct data_io *io = b->arg;

	for (int i = 0; i < io->n; i++)
		page_read_done(io->pages[i], b->error);
	kfree(io);
}

static void
write_done(struct bio *b)
{
	struct page *pages[PC_BATCH];
	struct data_io *io = b->arg;
	struct efs *fs = io->fs;
	int n = io->n, error = b->error;

	/* The pages last: once they are done, the file system may be unmounted; and the spare request may be used again. */
	memcpy(pages, io->pages, n * sizeof(*pages));
	if (error && io->fresh)
		__atomic_store_n(&fs->data_error, error, __ATOMIC_RELAXED);
	if (io != fs->spare_io)
		kfree(io);
	if (__atomic_sub_fetch(&fs->ndata, 1, __ATOMIC_ACQ_REL) == 0 && !waitq_empty(&efs_data_wait))
		waitq_wake_all(&efs_data_wait);
	for (int i = 0; i < n; i++)
		page_write_done(pages[i], error);
}

/* Memory for a write. Write-back must get on when there is none, too, for it makes room: then one after the other. */
static struct data_io *
write_alloc(struct efs *fs)
{
	struct data_io *io = kmalloc(sizeof(*io));

	if (io || !fs->spare_io)
		return io;
	wait_event(&efs_data_wait, !__atomic_load_n(&fs->ndata, __ATOMIC_ACQUIRE), (void *)NULL);
	return fs->spare_io;
}

/* The request for when there is no memory. Returns 0 or -ENOMEM. */
int
efs_data_init(struct efs *fs)
{
	fs->spare_io = kmalloc(sizeof(*fs->spare_io));
	return fs->spare_io ? 0 : -ENOMEM;
}

/* Start one request for n pages that are together on the disk from `block` on. Returns 0 or -ENOMEM. */
static int
io_start(struct efs *fs, enum bio_op op, struct page **pages, int n, uint64_t block, bool fresh)
{
	struct data_io *io = op == BIO_WRITE ? write_alloc(fs) : kmalloc(sizeof(*io));

	if (!io)
		return -ENOMEM;
	io->fs = fs;
	io->fresh = fresh;
	io->n = n;
	for (int i = 0; i < n; i++) {
		io->pages[i] = pages[i];
		io->vec[i] = (struct bio_vec){ .phys = page_phys(pages[i]), .len = EFS_BLOCK };
	}
	io->bio = (struct bio){
		.op = op, .sector = block * SECTORS_PER_BLOCK, .nvec = n, .vec = io->vec, .dev = fs->bdev,
		.done = op == BIO_READ ? read_done : write_done, .arg = io,
	};
	if (op == BIO_WRITE)
		__atomic_add_fetch(&fs->ndata, 1, __ATOMIC_RELAXED);
	bio_submit(&io->bio);
	return 0;
}

/* Start requests for n consecutive pages whose blocks are in `blocks` (0: a hole, reads as zeros). */
static void
pages_start(struct efs *fs, enum bio_op op, struct page **pages, int n, const uint64_t *blocks, bool fresh)
{
	for (int i = 0, run; i < n; i += run) {
		for (run = 1; i + run < n && blocks[i] && blocks[i + run] == blocks[i] + run; run++)
			;
		int err = 0;
		if (blocks[i])
			err = io_start(fs, op, pages + i, run, blocks[i], fresh);
		else
			page_zero(pages[i]);
		for (int k = 0; (err || !blocks[i]) && k < run; k++)
			op == BIO_READ ? page_read_done(pages[i + k], err) : page_write_done(pages[i + k], err);
	}
}

/* inode_ops.read_pages. */
static int
data_read(struct inode *ip, struct page **pages, int n)
{
	struct efs *fs = efs_of(ip);
	uint64_t blocks[PC_BATCH], block;
	uint32_t first = pages[0]->index, len;
	int err = 0;

	assert(n <= PC_BATCH);
	mutex_lock(&fs->lock);
	for (int i = 0; i < n && !err;) {
		err = efs_extent_map(fs, einode_of(ip), first + i, &block, &len);
		for (uint32_t k = 0; !err && k < len && i < n; k++)
			blocks[i++] = block ? block + k : 0;
	}
	mutex_unlock(&fs->lock);
	if (!err)
		pages_start(fs, BIO_READ, pages, n, blocks, false);
	return err;
}

/* ---- writing back ---- */

/* Find blocks for [logical, logical+n): *block and *len, of which at least one; allocates what has none. */
static int
blocks_for(struct efs *fs, struct einode *ei, uint32_t logical, uint32_t n, uint64_t *block, uint32_t *len)
{
	uint64_t goal = 0;
	uint32_t dummy;
	int err = efs_extent_map(fs, ei, logical, block, len);

	if (err)
		return err;
	if (*len > n)
		*len = n;
	if (*block)
		return 0;
	if (logical > 0 && efs_extent_map(fs, ei, logical - 1, &goal, &dummy) == 0 && goal)
		goal++;
	err = efs_blocks_alloc(fs, goal, *len, true, block, len);
	if (err)
		return err;
	err = efs_extent_add(fs, ei, (struct efs_extent){ .logical = logical, .len = *len, .block = *block });
	if (err) {
		efs_blocks_free(fs, *block, *len, false);
		return err;
	}
	delayed_drop(fs, ei, logical, logical + *len);
	fs->data_written = true;		/* a commit must not come before it */
	return 0;
}

/* What lies past the end of the file in its last page goes to the disk as zeros. A page that somebody has locked may be growing
 * now, and will be written once more. */
static void
tail_zero(struct inode *ip, struct page *p)
{
	if (!page_trylock(p))
		return;
	uint64_t size = ip->size, at = p->index << PAGE_SHIFT;
	if (size > at && size - at < PAGE_SIZE)
		memset((char *)page_virt(p) + (size - at), 0, PAGE_SIZE - (size - at));
	page_unlock(ip, p);
}

/* The file on the disk reaches to the end of page `last` now, as far as it is that long. */
static void
size_advance(struct inode *ip, struct einode *ei, uint64_t last)
{
	uint64_t size = __atomic_load_n(&ip->size, __ATOMIC_ACQUIRE), end = (last + 1) << PAGE_SHIFT;

	end = size < end ? size : end;
	if (ei->di.size < end) {
		ei->di.size = end;
		ei->changed = true;
		efs_of(ip)->data_written = true;	/* a block that was there now shows more of itself */
	}
}

/* Store the inode in the transaction under way, attributes and all, so that the VFS need not ask for it; always, or
 * only if it would. Returns 0; -errno: it will ask again. */
static int
attributes_store(struct efs *fs, struct inode *ip, bool always)
{
	bool newer = __atomic_fetch_and(&ip->flags, ~(uint32_t)I_DIRTY, __ATOMIC_ACQ_REL) & I_DIRTY;
	int err = newer || always ? efs_inode_store(fs, ip) : 0;

	if (err)
		inode_dirty(ip);
	return err;
}

/* Choose blocks for the first of n pages, as many as one transaction takes, and start the writes.
 * Requires: in a transaction. Returns how many pages, with *err 0; fewer or none, with *err. */
static int
pages_place(struct efs *fs, struct inode *ip, struct page **pages, int n, int *err)
{
	uint64_t blocks[PC_BATCH], block;
	uint32_t first = pages[0]->index, len;
	const struct efs_inode *di = &einode_of(ip)->di;
	uint64_t had = di->blocks, size = di->size;
	int done = 0;

	for (*err = 0; done < n && !*err && !(done && efs_full(fs));) {
		*err = blocks_for(fs, einode_of(ip), first + done, n - done, &block, &len);
		for (uint32_t k = 0; !*err && k < len; k++)
			blocks[done++] = block + k;
	}
	if (done > 0) {
		tail_zero(ip, pages[done - 1]);
		size_advance(ip, einode_of(ip), first + done - 1);
	}
	if (einode_of(ip)->changed)		/* else there are only new times, which can wait */
		attributes_store(fs, ip, true);
	if (done > 0)
		pages_start(fs, BIO_WRITE, pages, done, blocks, di->blocks != had || di->size != size);
	return done;
}

/* inode_ops.write_pages: n consecutive pages under write-back.
 *
 * Does:    chooses blocks for those that have none, starts the writes, stores the inode: one transaction, or several where one
 *          would be too large.
 * Returns: 0, page_write_done() follows for each; an error, with nothing started. May sleep.
 */
static int
data_write(struct inode *ip, struct page **pages, int n)
{
	struct efs *fs = efs_of(ip);
	int done = 0, err = efs_begin(fs);

	assert(n <= PC_BATCH);
	if (err)
		return err;
	while (done < n && !err) {
		done += pages_place(fs, ip, pages + done, n - done, &err);
		if (done < n && !err)
			err = efs_restart(fs);
	}
	if (err)
		delayed_drop(fs, einode_of(ip), pages[0]->index + done, pages[0]->index + n);
	efs_end(fs);
	for (int i = done; done > 0 && i < n; i++)
		page_write_done(pages[i], err);
	return done > 0 ? 0 : err;
}

/* ---- the rest ---- */

/* inode_ops.truncate: see vfs.h. */
static int
data_truncate(struct inode *ip, uint64_t size)
{
	struct efs *fs = efs_of(ip);
	struct einode *ei = einode_of(ip);

	if (size > ip->size && ip->ndirty)
		pagecache_sync(ip, 0, ~0ul, false);	/* the new size names what is in these pages, too (I4) */
	int err = efs_begin(fs);
	if (err)
		return err;
	if (size > EFS_MAX_SIZE)
		err = -EFBIG;
	if (!err && size < ip->size) {
		uint32_t from = efs_size_blocks(size);
		delayed_drop(fs, ei, from, UINT32_MAX);
		err = efs_inode_cut(fs, ip, from);
	} else if (!err && size > ei->di.size) {
		ei->di.size = size;		/* longer by zeros: nothing to wait for */
		ei->changed = true;
	}
	if (!err)
		__atomic_store_n(&ip->size, size, __ATOMIC_RELEASE);
	int stored = efs_inode_store(fs, ip);
	efs_end(fs);
	return err ? err : stored;
}

/* inode_ops.fsync: the pages are under way; make them, and everything that leads to them, durable. datasync: mere
 * times need not be, for a regular file. A journal waits for all data before it flushes; without it we do.
 *
 * Does:    commits only if something of this inode is in the running transaction; else what was written over what was
 *          there needs nothing but a flush.
 * Returns: 0, -EIO, -ENOMEM.
 */
static int
data_fsync(struct inode *ip, bool datasync)
{
	struct efs *fs = efs_of(ip);
	struct einode *ei = einode_of(ip);
	int err = fs->damaged ? -EIO : 0;		/* nothing is promised any more */

	datasync = datasync && S_ISREG(ip->mode);
	if (!err && !datasync && __atomic_load_n(&ip->flags, __ATOMIC_ACQUIRE) & I_DIRTY) {
		err = efs_begin(fs);
		if (!err) {
			err = attributes_store(fs, ip, false);
			efs_end(fs);
		}
	}
	if (err)
		return err == -EROFS ? 0 : err;
	mutex_lock(&fs->lock);
	uint64_t epoch = fs->epoch;
	bool needed = (datasync ? ei->changed_in : ei->stored_in) == epoch;
	mutex_unlock(&fs->lock);
	if (!needed || !fs->txn->commit)
		pagecache_wait(ip);
	return needed ? efs_commit_since(fs, epoch) : efs_flush(fs);
}

/* The target of a symlink, cut to n bytes. Returns its length or -errno. */
static long
link_read(struct inode *ip, char *buf, size_t n)
{
	struct efs *fs = efs_of(ip);
	struct einode *ei = einode_of(ip);
	uint64_t block;
	uint32_t len;

	if (n > ip->size)
		n = ip->size;
	if (ei->di.flags & EFS_INODE_INLINE) {
		memcpy(buf, ei->di.inline_data, n);
		return n;
	}
	mutex_lock(&fs->lock);
	int err = efs_extent_map(fs, ei, 0, &block, &len);
	if (!err && !block)
		err = efs_damage(fs, "inode %lu: symlink without its target", ip->ino);
	mutex_unlock(&fs->lock);
	char *data = err ? NULL : kmalloc(EFS_BLOCK);
	if (!err)
		err = data ? block_rw(fs->bdev, BIO_READ, block * SECTORS_PER_BLOCK, data, SECTORS_PER_BLOCK) : -ENOMEM;
	if (!err)
		memcpy(buf, data, n);
	kfree(data);
	return err ? err : (long)n;
}

/* Give a new symlink its target. Requires: in a transaction; n in 1..EFS_LINK_MAX. A long one is written
 * at once. */
int
efs_link_write(struct efs *fs, struct inode *ip, const char *target, size_t n)
{
	struct einode *ei = einode_of(ip);
	uint64_t block;
	uint32_t got;

	ip->size = n;
	if (n <= EFS_INLINE_MAX) {
		ei->di.flags |= EFS_INODE_INLINE;
		memcpy(ei->di.inline_data, target, n);
		return 0;
	}
	char *data = kzalloc(EFS_BLOCK);
	int err = data ? efs_blocks_alloc(fs, 0, 1, false, &block, &got) : -ENOMEM;
	if (!err) {
		memcpy(data, target, n);
		err = block_rw(fs->bdev, BIO_WRITE, block * SECTORS_PER_BLOCK, data, SECTORS_PER_BLOCK);
		fs->data_written = true;
		if (!err)
			err = efs_extent_add(fs, ei, (struct efs_extent){ .logical = 0, .len = 1, .block = block });
		if (err)
			efs_blocks_free(fs, block, 1, false);
	}
	kfree(data);
	return err;
}

const struct inode_ops efs_file_iops = {
	.truncate = data_truncate,
	.read_pages = data_read,
	.write_pages = data_write,
	.reserve = data_reserve,
	.fsync = data_fsync,
};

const struct inode_ops efs_link_iops = {
	.readlink = link_read,
	.fsync = data_fsync,
};
