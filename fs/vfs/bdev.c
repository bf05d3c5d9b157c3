/* bdev.c - disks as files: /dev/vda through the page cache, or past it with O_DIRECT.         (lab 7)
 *
 * Idea.       Every block device has one inode in a file system that is mounted nowhere, numbered by its
 *             dev_t; all special files of that number share it, and so its cached pages. With O_DIRECT the
 *             disk reads and writes the program's own pages.
 * Interface.  device_set_block_open; the rest is file_ops and inode_ops.
 * Invariants. I1 pages of the program are referenced while the disk may touch them.  I2 direct transfers see
 *             what was written through the cache before, and the cache forgets what they change.
 * Locks.      ip->lock around writes, as the page cache asks.
 */
#include "fs/vfs/file.h"
#include "fs/vfs/pageread.h"
#include "fs/vfs/pagewrite.h"
#include "fs/vfs/super.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/trap/trap.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/termios.h"
#include "lib/kern/string.h"

enum { BLKROGET = 0x125e, BLKBSZGET = (int)0x80081270, BLKPBSZGET = 0x127b };

static struct super *bdev_super;

/* ---- the cache's pages ---- */

/* A run of pages on its way from or to the disk. */
struct run {
	struct bio bio;
	struct bio_vec vec[BIO_NVEC];
	struct page *page[BIO_NVEC];
	int n;
};

static int run_start(struct inode *ip, enum bio_op op, struct page **pages, int n);

/* If a run fails, its pages try one by one: a bad sector spoils its own page only. */
static void
run_done(struct bio *b)
{
	struct run *r = container_of(b, struct run, bio);
	bool retry = b->error && r->n > 1 && !b->dev->disk->gone;

	for (int i = 0; i < r->n; i++) {
		int err = retry ? run_start(r->page[i]->owner, b->op, &r->page[i], 1) : b->error;

		if (retry && err == 0)
			continue;
		if (b->op == BIO_READ)
			page_read_done(r->page[i], err);
		else
			page_write_done(r->page[i], err);
	}
	kfree(r);
}

/* Transfer n pages with consecutive numbers; the last one may hang over the end of the disk: that part stays
 * zero. */
static int
run_start(struct inode *ip, enum bio_op op, struct page **pages, int n)
{
	uint64_t at = pages[0]->index << PAGE_SHIFT;
	struct run *r;

	if (n > BIO_NVEC || at >= ip->size)
		return -EIO;
	r = kmalloc(sizeof *r);
	if (!r)
		return -ENOMEM;
	r->n = n;
	r->bio = (struct bio){ .op = op, .sector = at / SECTOR_SIZE, .nvec = n, .vec = r->vec, .dev = ip->priv,
		.done = run_done };
	for (int i = 0; i < n; i++, at += PAGE_SIZE) {
		uint64_t left = ip->size - at;

		r->page[i] = pages[i];
		r->vec[i] = (struct bio_vec){ page_phys(pages[i]), left < PAGE_SIZE ? left : PAGE_SIZE };
		if (op == BIO_READ && left < PAGE_SIZE)
			memset((char *)page_virt(pages[i]) + left, 0, PAGE_SIZE - left);
	}
	bio_submit(&r->bio);
	return 0;
}

static int
bdev_read_pages(struct inode *ip, struct page **pages, int n)
{
	return run_start(ip, BIO_READ, pages, n);
}

static int
bdev_write_pages(struct inode *ip, struct page **pages, int n)
{
	return run_start(ip, BIO_WRITE, pages, n);
}

/* Writes never make a disk longer. */
static int
bdev_reserve(struct inode *ip, uint64_t off, uint64_t len)
{
	return off < ip->size && len <= PAGE_UP(ip->size) - off ? 0 : -ENOSPC;
}

static int
bdev_iflush(struct inode *ip, bool datasync)
{
	(void)datasync;
	pagecache_wait(ip);
	return block_flush(ip->priv);
}

static const struct inode_ops bdev_iops = {
	.read_pages = bdev_read_pages, .write_pages = bdev_write_pages, .reserve = bdev_reserve,
	.fsync = bdev_iflush,
};

/* ---- past the cache ---- */

enum { DIRECT_PAGES = BIO_NVEC };

/* Reference the pages that are there, from user address va on, at most n; writable ones if the disk will
 * write them. Returns how many: it stops at the first that would have to fault. */
static uint32_t
pages_present(struct aspace *as, uint64_t va, uint32_t n, bool write, struct page **page)
{
	pte_t need = PTE_P | PTE_U | (write ? PTE_W : 0);
	uint32_t k = 0;
	unsigned run;

	mutex_lock(&as->lock);
	while (k < n) {
		uint64_t at = va + k * PAGE_SIZE, want = at;
		pte_t *e = pt_next(&as->pt, &at, va + n * PAGE_SIZE, &run);

		if (!e || at != want)
			break;
		for (; run && k < n && (*e & need) == need && (page[k] = page_of_phys(*e & PTE_ADDR)); run--, e++)
			page_ref(page[k++]);
		if (run && k < n)
			break;
	}
	mutex_unlock(&as->lock);
	return k;
}

/* Reference the n pages from user address va on, faulting them in. Returns how many; fewer: the rest is not
 * mapped so. */
static uint32_t
pages_pin(struct aspace *as, uint64_t va, uint32_t n, bool write, struct page **page)
{
	uint32_t k = 0, faults = 0;

	while (k < n && faults < 2 * n + 2) {
		k += pages_present(as, va + k * PAGE_SIZE, n - k, write, page + k);
		if (k < n && mm_fault(as, va + k * PAGE_SIZE, PF_U | (write ? PF_W : 0)))
			break;
		faults++;
	}
	return k;
}

/* Describe the bytes [off, off + n) of pages for the disk: what touches in memory becomes one piece. Returns:
 * pieces. */
static uint32_t
pieces_make(struct page **page, uint64_t off, size_t n, struct bio_vec *vec)
{
	struct bio_vec *v = vec;
	uint64_t len = PAGE_SIZE - off < n ? PAGE_SIZE - off : n;

	*v = (struct bio_vec){ page_phys(*page++) + off, len };
	for (n -= len; n > 0; n -= len) {
		uint64_t phys = page_phys(*page++);

		len = n < PAGE_SIZE ? n : PAGE_SIZE;
		if (v->phys + v->len == phys)
			v->len += len;
		else
			*++v = (struct bio_vec){ phys, len };
	}
	return v - vec + 1;
}

/* Move up to DIRECT_PAGES pages between the disk and [ubuf, ubuf + n). Requires: all multiples of
 * SECTOR_SIZE.
 * Returns: bytes or -errno. */
static long
direct_piece(struct blockdev *d, enum bio_op op, uint64_t ubuf, size_t n, uint64_t pos)
{
	struct page *page[DIRECT_PAGES];
	struct bio_vec vec[DIRECT_PAGES];
	struct bio b = { .op = op, .sector = pos / SECTOR_SIZE, .vec = vec, .dev = d };
	uint64_t off = ubuf % PAGE_SIZE;
	uint32_t want, k;
	int err = -EFAULT;

	if (n > DIRECT_PAGES * PAGE_SIZE - off)
		n = DIRECT_PAGES * PAGE_SIZE - off;
	want = (off + n + PAGE_SIZE - 1) / PAGE_SIZE;
	k = pages_pin(current_proc()->as, PAGE_DOWN(ubuf), want, op == BIO_READ, page);
	if (k < want)
		n = k ? k * PAGE_SIZE - off : 0;
	if (n) {
		b.nvec = pieces_make(page, off, n, vec);
		err = bio_submit_wait(&b);
	}
	for (uint32_t i = 0; i < k; i++)
		page_unref(page[i]);
	return err ? err : (long)n;
}

/* read or write with O_DIRECT. Returns: bytes; -EINVAL: not in whole sectors; -EFAULT, -EIO, -ENXIO. */
static long
direct(struct inode *ip, enum bio_op op, uint64_t ubuf, size_t n, uint64_t *pos)
{
	size_t done = 0;
	long r = 0;

	if ((ubuf | n | *pos) % SECTOR_SIZE)
		return -EINVAL;
	if (ubuf >= USER_END || n > USER_END - ubuf)
		return -EFAULT;
	if (ip->npages) {                      /* I2 */
		r = pagecache_sync(ip, *pos >> PAGE_SHIFT, (*pos + n) >> PAGE_SHIFT, true);
		if (r)
			return r;
		if (op == BIO_WRITE)
			pagecache_drop(ip);
	}
	while (done < n) {
		r = direct_piece(ip->priv, op, ubuf + done, n - done, *pos);
		if (r <= 0)
			break;
		done += r;
		*pos += r;
	}
	return done ? (long)done : r;
}

/* ---- files ---- */

static long
bdev_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct inode *ip = f->priv;

	if (*pos >= ip->size)
		return 0;
	if (n > ip->size - *pos)
		n = ip->size - *pos;
	return f->flags & O_DIRECT ? direct(ip, BIO_READ, ubuf, n, pos) : pagecache_read_user(ip, f, ubuf, n, pos);
}

static long
bdev_write(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct inode *ip = f->priv;
	struct blockdev *d = ip->priv;
	long r;

	if (d->readonly)
		return -EPERM;
	if (n == 0)
		return 0;
	if (*pos >= ip->size)
		return -ENOSPC;
	if (n > ip->size - *pos)
		n = ip->size - *pos;
	mutex_lock(&ip->lock);
	r = f->flags & O_DIRECT ? direct(ip, BIO_WRITE, ubuf, n, pos) : pagecache_write_user(ip, ubuf, n, pos);
	mutex_unlock(&ip->lock);
	return r;
}

static int
bdev_fsync(struct file *f, bool datasync)
{
	struct inode *ip = f->priv;
	int err = pagecache_sync(ip, 0, ~0ul, true);

	(void)datasync;
	return err ? err : block_flush(ip->priv);
}

static long
bdev_seek(struct file *f, int64_t off, int whence)
{
	struct inode *ip = f->priv;
	int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)f->pos : (int64_t)ip->size, at;

	if (whence < SEEK_SET || whence > SEEK_END || __builtin_add_overflow(base, off, &at) || at < 0 ||
		(uint64_t)at > ip->size)
		return -EINVAL;
	f->pos = at;
	return at;
}

static long
bdev_ioctl(struct file *f, uint32_t cmd, uint64_t arg)
{
	struct inode *ip = f->priv;
	struct blockdev *d = ip->priv;
	uint64_t v64;
	uint32_t v32;

	switch (cmd) {
	case BLKGETSIZE64:
	case BLKGETSIZE:
		v64 = cmd == BLKGETSIZE ? d->nsectors : d->nsectors * SECTOR_SIZE;
		return copyout(arg, &v64, sizeof v64);
	case BLKSSZGET:
	case BLKPBSZGET:
	case (uint32_t)BLKBSZGET:
	case BLKROGET:
		v32 = cmd == BLKROGET ? d->readonly : cmd == (uint32_t)BLKBSZGET ? PAGE_SIZE : SECTOR_SIZE;
		return copyout(arg, &v32, sizeof v32);
	case BLKFLSBUF:
		v32 = bdev_fsync(f, false);
		pagecache_drop(ip);
		return (int)v32;
	}
	return -ENOTTY;
}

static struct map_object *
bdev_map(struct file *f, int prot, int flags, int *err)
{
	struct inode *ip = f->priv;

	(void)prot, (void)flags, (void)err;
	return &inode_ref(ip)->object;
}

/* The last close writes what the cache still holds back, as Linux does. */
static void
bdev_release(struct file *f)
{
	struct inode *ip = f->priv;

	if (file_writable(f))
		pagecache_sync(ip, 0, ~0ul, false);
	inode_put(ip);
}

static const struct file_ops bdev_ops = {
	.release = bdev_release, .read = bdev_read, .write = bdev_write, .ioctl = bdev_ioctl, .fsync = bdev_fsync,
	.map = bdev_map, .seek = bdev_seek,
};

/* The inode of a block device, referenced. 0, -ENOMEM. */
static int
bdev_inode(struct blockdev *d, struct inode **out)
{
	struct inode *ip;
	int err = inode_get(bdev_super, d->devno, &ip);

	if (err)
		return err;
	if (ip->flags & I_NEW) {
		ip->mode = S_IFBLK | 0600;
		ip->nlink = 1;
		ip->rdev = d->devno;
		ip->size = d->nsectors * SECTOR_SIZE;
		ip->iops = &bdev_iops;
		ip->priv = d;
		inode_unlock_new(ip);
	}
	*out = ip;
	return 0;
}

/* Open a block special file. -ENXIO: no such disk, or it is gone; -EROFS. */
static int
bdev_open(struct inode *ip, struct file *f)
{
	struct blockdev *d = NULL;
	struct inode *own;
	int err;

	while ((d = blockdev_next(d)) && d->devno != ip->rdev)
		;
	if (!d || d->disk->gone)
		return -ENXIO;
	if (d->readonly && file_writable(f))
		return -EROFS;
	err = bdev_inode(d, &own);
	if (err)
		return err;
	f->ops = &bdev_ops;
	f->priv = own;
	return 0;
}

static struct fs_type bdev_type = { .name = "bdev" };
static const struct super_ops bdev_super_ops;

static void
bdev_init(void)
{
	bdev_super = super_new(&bdev_type, &bdev_super_ops);
	if (!bdev_super)
		return;
	super_live(bdev_super);
	device_set_block_open(bdev_open);
}

INITCALL(7, bdev_init);
