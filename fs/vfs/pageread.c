/* pageread.c - filling the page cache: single pages, read-ahead, read(2).                     (lab 7)
 *
 * Idea.       A reader that goes through a file in order finds the next pages already there: a miss reads a
 *             whole window, and coming near its end starts the next one, twice as large, without waiting.
 *
 *                 |<----- window: ra_size ----->|                 128 KiB, 256, 512, 1 MiB, 1 MiB ...
 *                 ........^ reader          ra_end
 *                         `- less than half is left: start the next window
 *
 * Interface.  pagecache_get, pagecache_read (vfs.h); pageread.h.
 * Invariants. I1 nothing past the end of the file is read.  I2 ra_next is the page after the last one this
 * file read.
 * Locks.      None held while reading or copying to the user: pages are referenced and valid.
 */
#include "fs/vfs/pageread.h"

#include "fs/vfs/pcache.h"
#include "kern/boot/print.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define RA_FIRST 32          /* pages: 128 KiB */
#define RA_MAX 256           /* 1 MiB */
#define READ_BATCH 16        /* pages looked up under one lock */

static uint64_t
inode_npages(const struct inode *ip)
{
	uint64_t limit = inode_limit(ip);
	return (limit >> PAGE_SHIFT) + !!(limit & (PAGE_SIZE - 1));
}

void
pagecache_submit_read(struct inode *ip, struct page **pages, int n)
{
	int err = 0;

	if (ip->iops->read_pages) {
		err = ip->iops->read_pages(ip, pages, n);
		if (!err)
			return;
	} else {
		for (int i = 0; i < n; i++)
			page_zero(pages[i]);
	}
	for (int i = 0; i < n; i++)
		page_read_done(pages[i], err);
}

/* Start reading the absent pages of [first, first+n).
 *
 * Does:     cuts the range at the end of the file; gives the file system runs of at most PC_BATCH pages.
 * Returns:  0, also when nothing was absent; -ENOMEM when not even the first page could be had.
 */
int
pagecache_start(struct inode *ip, uint64_t first, uint64_t n)
{
	struct page *run[PC_BATCH];
	uint64_t end = inode_npages(ip);
	int got = 0, err = 0;

	if (first + n < end)
		end = first + n;
	for (uint64_t i = first; i < end; i++) {
		err = pcache_add(ip, i, &run[got]);
		if (err == -ENOMEM)
			break;
		if (!err)
			got++;
		if (got && (err || got == PC_BATCH)) {
			pagecache_submit_read(ip, run, got);
			got = 0;
		}
	}
	if (got)
		pagecache_submit_read(ip, run, got);
	return err == -ENOMEM && !got ? -ENOMEM : 0;
}

/* Read one page again whose last read failed, or that a write left half done. */
static void
read_again(struct inode *ip, struct page *p)
{
	page_lock(ip, p);
	if (page_has(p, PC_VALID) || p->owner != ip) {
		page_unlock(ip, p);
		return;
	}
	page_clear(p, PC_ERROR);
	page_ref(p);
	pagecache_submit_read(ip, &p, 1);
}

/* Page `index` of ip, referenced and valid.
 *
 * Does:     reads n pages from index on when it is absent; waits until it is there.
 * Returns:  0; -ERANGE past the end of the file; -EIO (or what the file system says); -ENOMEM. May sleep.
 */
int
pagecache_get_ahead(struct inode *ip, uint64_t index, uint64_t n, struct page **out)
{
	bool asked = false;

	for (;;) {
		if (index >= inode_npages(ip))
			return -ERANGE;
		struct page *p = pcache_find(ip, index);
		if (!p) {
			int err = pagecache_start(ip, index, n);
			if (err)
				return err;
			asked = true;
			continue;
		}
		asked |= page_has(p, PC_LOCKED);
		if (!page_has(p, PC_VALID))
			page_wait(ip, p, PC_LOCKED);
		if (page_has(p, PC_VALID)) {
			*out = p;
			return 0;
		}
		if (page_has(p, PC_ERROR) && asked) {
			page_unref(p);
			return -EIO;
		}
		read_again(ip, p);
		asked = true;
		page_unref(p);
	}
}

int
pagecache_get(struct inode *ip, uint64_t index, struct page **out)
{
	return pagecache_get_ahead(ip, index, RA_FIRST, out);
}

/* Read into kernel memory. Returns: bytes, short at the end of the file; -errno when there was an error
 * before any. */
long
pagecache_read(struct inode *ip, uint64_t off, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint64_t pos = off + done, size = inode_limit(ip);
		struct page *p;
		if (pos >= size)
			break;
		size_t at = pos & (PAGE_SIZE - 1), len = PAGE_SIZE - at;
		len = len < n - done ? len : n - done;
		len = len < size - pos ? len : size - pos;
		int err = pagecache_get(ip, pos >> PAGE_SHIFT, &p);
		if (err)
			return done ? (long)done : err == -ERANGE ? 0 : err;
		memcpy((char *)buf + done, (char *)page_virt(p) + at, len);
		page_unref(p);
		done += len;
	}
	return done;
}

/* ---- read(2) ---- */

/* Absent page `index`: read it, and a window after it when the reader goes in order. */
static int
read_miss(struct inode *ip, struct file *f, uint64_t index, uint64_t want, struct page **out)
{
	if (f && (index == f->ra_next || index == 0)) {
		uint64_t size = f->ra_size ? f->ra_size * 2 : RA_FIRST;
		f->ra_size = size < RA_MAX ? size : RA_MAX;
		want = want > f->ra_size ? want : f->ra_size;
		f->ra_end = index + want;
	} else if (f) {
		f->ra_size = 0;
		f->ra_end = 0;
	}
	return pagecache_get_ahead(ip, index, want, out);
}

/* The reader is at `index`, in memory: start the next window when less than half of this one is left. */
static void
read_ahead(struct inode *ip, struct file *f, uint64_t index)
{
	if (!f || !f->ra_size || index < f->ra_next)
		return;
	if (index + f->ra_size / 2 < f->ra_end || f->ra_end >= inode_npages(ip))
		return;
	uint64_t size = f->ra_size * 2;
	f->ra_size = size < RA_MAX ? size : RA_MAX;
	pagecache_start(ip, f->ra_end, f->ra_size);
	f->ra_end += f->ra_size;
}

/* Copy from consecutive pages; returns the bytes copied (short: the user's memory ended). */
static size_t
copy_pages(struct page **pages, size_t at, uint64_t ubuf, size_t n)
{
	size_t done = 0;

	for (int i = 0; done < n; i++, at = 0) {
		size_t len = PAGE_SIZE - at < n - done ? PAGE_SIZE - at : n - done;
		size_t left = copyout_partial(ubuf + done, (char *)page_virt(pages[i]) + at, len);
		done += len - left;
		if (left)
			break;
	}
	return done;
}

/* One batch of pages for read: from the cache, else read. Returns how many pages, or -errno. */
static int
read_batch(struct inode *ip, struct file *f, uint64_t index, int want, struct page **pages)
{
	int got = pcache_find_valid(ip, index, pages, want);
	if (got) {
		read_ahead(ip, f, index);
	} else {
		int err = read_miss(ip, f, index, want, &pages[0]);
		if (err)
			return err;
		got = 1;
	}
	if (f)
		f->ra_next = index + got;
	return got;
}

/* Up to n bytes at *pos into user memory; moves *pos on.
 *
 * Requires: no spinlock; ip->lock not held (a write may fault on this file).
 * Returns:  bytes; 0 at the end of the file; -EFAULT, -EIO, -ENOMEM when nothing was copied. May sleep.
 */
long
pagecache_read_user(struct inode *ip, struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct page *pages[READ_BATCH];
	size_t done = 0;
	long err = 0;

	while (done < n) {
		uint64_t at = *pos, size = inode_limit(ip);
		if (at >= size)
			break;
		size_t off = at & (PAGE_SIZE - 1);
		size_t len = n - done < size - at ? n - done : size - at;
		len = len < READ_BATCH * PAGE_SIZE - off ? len : READ_BATCH * PAGE_SIZE - off;
		int got = read_batch(ip, f, at >> PAGE_SHIFT, (off + len + PAGE_SIZE - 1) >> PAGE_SHIFT, pages);
		if (got < 0) {
			err = got == -ERANGE ? 0 : got;
			break;
		}
		len = len < got * PAGE_SIZE - off ? len : got * PAGE_SIZE - off;
		size_t copied = copy_pages(pages, off, ubuf + done, len);
		for (int i = 0; i < got; i++)
			page_unref(pages[i]);
		done += copied;
		*pos += copied;
		if (copied < len) {
			err = -EFAULT;
			break;
		}
	}
	return done ? (long)done : err;
}
