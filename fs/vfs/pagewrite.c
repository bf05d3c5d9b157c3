/* pagewrite.c - changing files through the page cache: write(2), truncate.                    (lab 7)
 *
 * Idea.       Each page of a write is found or made, filled from user memory and marked dirty:
 *
 *               valid, not past the end     copy, no lock: readers may see half of it, as on Linux
 *               valid, the file grows       PC_LOCKED, so that write-back and size agree
 *               absent, all of it written   PC_LOCKED, no read needed
 *               absent, part of it written  read first, unless it lies past the end: then zero the rest
 *
 *             While a page is locked, user memory is copied without faults; a fault is taken after unlocking,
 *             then again.
 * Interface.  pagewrite.h.
 * Invariants. I1 before a page is marked dirty the file system has reserved space for it: write-back cannot
 * meet ENOSPC.
 *             I2 a page that is not valid is never dirty.  I3 ip->size grows only after the bytes are in the
 *             page.
 * Locks.      ip->lock (the caller's), then PC_LOCKED of one page.
 */
#include "fs/vfs/pagewrite.h"

#include "fs/vfs/inode.h"
#include "fs/vfs/pageread.h"
#include "fs/vfs/pcache.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/print.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/string.h"

#define SEGMENT (1ul << 20)  /* bytes reserved at a time */

/* Where the bytes come from. */
struct from {
	uint64_t user;             /* user address, or */
	const char *kernel;        /* kernel memory when not NULL */
};

/* Copy without faulting (or from the kernel). Returns bytes not copied. */
static size_t
from_copy(const struct from *s, size_t done, void *dst, size_t n)
{
	if (!s->kernel)
		return copyin_nofault(dst, s->user + done, n);
	memcpy(dst, s->kernel + done, n);
	return 0;
}

/* The page `index`, referenced and locked, made if it is absent. 0 or -ENOMEM. */
static int
get_locked(struct inode *ip, uint64_t index, struct page **out)
{
	for (;;) {
		struct page *p = pcache_find(ip, index);
		if (!p) {
			int err = pcache_add(ip, index, &p);
			if (err == -EEXIST)
				continue;
			*out = p;
			return err;
		}
		page_lock(ip, p);
		if (p->owner == ip) {
			*out = p;
			return 0;
		}
		page_unlock(ip, p);
		page_unref(p);
	}
}

/* Must an invalid page be read before [off, off+n) of it is written? Not when that is all of it that the file
 * has. */
static bool
must_read(struct inode *ip, const struct page *p, size_t off, size_t n)
{
	uint64_t base = p->index << PAGE_SHIFT;

	if (base >= ip->size)
		return false;
	return off > 0 || (off + n < PAGE_SIZE && base + off + n < ip->size);
}

/* Fill [off, off+n) of a locked page; an invalid one becomes valid, its other bytes zero.
 * Returns: bytes copied; an invalid page takes all or nothing. */
static size_t
fill_locked(struct inode *ip, struct page *p, size_t off, const struct from *s, size_t done, size_t n)
{
	char *base = page_virt(p);
	size_t left = from_copy(s, done, base + off, n);

	if (!page_has(p, PC_VALID)) {
		if (left)
			return 0;
		memset(base, 0, off);
		memset(base + off + n, 0, PAGE_SIZE - off - n);
		page_clear(p, PC_ERROR);
		page_set(p, PC_VALID);
	}
	n -= left;
	if (n) {
		uint64_t end = (p->index << PAGE_SHIFT) + off + n;
		page_mark_dirty(ip, p);
		if (end > ip->size)
			__atomic_store_n(&ip->size, end, __ATOMIC_RELEASE);
	}
	return n;
}

/* The fast way: a valid page inside the file needs no lock, and the copy may fault. -EAGAIN: not this way. */
static long
write_valid(struct inode *ip, uint64_t pos, const struct from *s, size_t done, size_t n)
{
	if (s->kernel || pos + n > ip->size)
		return -EAGAIN;
	struct page *p = pcache_find(ip, pos >> PAGE_SHIFT);
	if (!p)
		return -EAGAIN;
	long got = -EAGAIN;
	if (page_has(p, PC_VALID)) {
		got = n - copyin_partial((char *)page_virt(p) + (pos & (PAGE_SIZE - 1)), s->user + done, n);
		if (got)
			page_mark_dirty(ip, p);
		else
			got = -EFAULT;
	}
	page_unref(p);
	return got;
}

/* Write n bytes, all in one page, space reserved.
 *
 * Returns:  bytes written (short when the user's memory ends), or -EFAULT, -EIO, -ENOMEM.
 */
static long
write_page(struct inode *ip, uint64_t pos, const struct from *s, size_t done, size_t n)
{
	long got = write_valid(ip, pos, s, done, n);
	size_t off = pos & (PAGE_SIZE - 1);
	char c;

	while (got == -EAGAIN) {
		struct page *p;
		int err = get_locked(ip, pos >> PAGE_SHIFT, &p);
		if (err)
			return err;
		if (!page_has(p, PC_VALID) && must_read(ip, p, off, n)) {
			page_unlock(ip, p);
			page_unref(p);
			err = pagecache_get_ahead(ip, pos >> PAGE_SHIFT, 1, &p);
			if (err)
				return err;
			page_unref(p);
			continue;
		}
		size_t copied = fill_locked(ip, p, off, s, done, n);
		page_unlock(ip, p);
		page_unref(p);
		if (copied)
			return copied;
		size_t bad = copyin_partial(&c, s->user + done, 1);      /* fault it in, and find out how far it reaches */
		if (bad)
			return -EFAULT;
		uint64_t room = PAGE_SIZE - ((s->user + done) & (PAGE_SIZE - 1));
		if (n > room && copyin_partial(&c, s->user + done + room, 1))
			n = room;
	}
	return got;
}

/* Reserve [pos, pos+len), or as much of it as there is room for. Returns the bytes reserved, > 0, or -errno.
 */
static long
reserve_some(struct inode *ip, uint64_t pos, size_t len)
{
	if (len > SEGMENT)
		len = SEGMENT;
	if (!ip->iops->reserve)
		return len;
	int err = ip->iops->reserve(ip, pos, len);
	if (err != -ENOSPC)
		return err ? err : (long)len;
	size_t one = PAGE_SIZE - (pos & (PAGE_SIZE - 1));
	if (len <= one)
		return err;
	err = ip->iops->reserve(ip, pos, one);
	return err ? err : (long)one;
}

/* How much of [pos, pos+n) may exist: the file system's limit and the process's. 0 with n > 0: -EFBIG. */
static size_t
size_room(struct inode *ip, uint64_t pos, size_t n)
{
	struct proc *p = current_proc();
	uint64_t max = ip->sb->max_size;

	if (p && p->rlim[RLIMIT_FSIZE].rlim_cur < max)
		max = p->rlim[RLIMIT_FSIZE].rlim_cur;
	if (pos >= max)
		return 0;
	return n < max - pos ? n : max - pos;
}

static long
write_from(struct inode *ip, const struct from *s, size_t n, uint64_t *pos)
{
	size_t done = 0, room = size_room(ip, *pos, n);
	long err = 0;

	if (n && !room)
		return -EFBIG;
	n = room;
	while (done < n && err >= 0) {
		writeback_balance(ip);
		long seg = reserve_some(ip, *pos, n - done);
		if (seg < 0) {
			err = seg;
			break;
		}
		while (seg > 0) {
			size_t len = PAGE_SIZE - (*pos & (PAGE_SIZE - 1));
			len = len < (size_t)seg ? len : (size_t)seg;
			err = write_page(ip, *pos, s, done, len);
			if (err <= 0)
				break;
			*pos += err;
			done += err;
			seg -= err;
		}
	}
	if (done)
		inode_touch(ip, INODE_MTIME | INODE_CTIME);
	return done ? (long)done : err;
}

/* Write n bytes from user memory at *pos, which moves on.
 *
 * Requires: ip->lock held; the file may be written.
 * Returns:  bytes, short when space, limits or the user's memory end; -EFBIG, -ENOSPC, -EFAULT, -EIO, -ENOMEM
 *           before any.
 */
long
pagecache_write_user(struct inode *ip, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct from s = { .user = ubuf };
	return write_from(ip, &s, n, pos);
}

long
pagecache_write(struct inode *ip, uint64_t off, const void *buf, size_t n)
{
	struct from s = { .kernel = buf };
	return write_from(ip, &s, n, &off);
}

int
pagecache_make_writable(struct inode *ip, struct page *p)
{
	if (!page_has(p, PC_DIRTY)) {
		int err = ip->iops->reserve ? ip->iops->reserve(ip, p->index << PAGE_SHIFT, PAGE_SIZE) : 0;
		if (err)
			return err;
	}
	writeback_balance(ip);
	page_mark_dirty(ip, p);
	inode_touch(ip, INODE_MTIME | INODE_CTIME);
	return 0;
}

/* ---- truncate ---- */

/* A file that shrinks to the middle of a page: the tail must be zero on disk too, in case the file grows
 * again. */
static int
zero_tail(struct inode *ip, uint64_t size)
{
	struct page *p;
	size_t at = size & (PAGE_SIZE - 1);

	if (!at)
		return 0;
	int err = pagecache_get_ahead(ip, size >> PAGE_SHIFT, 1, &p);
	if (err)
		return err;
	err = page_has(p, PC_DIRTY) || !ip->iops->reserve ? 0 : ip->iops->reserve(ip, size - at, PAGE_SIZE);
	if (!err) {
		memset((char *)page_virt(p) + at, 0, PAGE_SIZE - at);
		page_mark_dirty(ip, p);
	}
	page_unref(p);
	return err == -ENOSPC ? 0 : err;          /* no space behind it: a hole, zero anyway */
}

/* Set the size of a regular file.
 *
 * Requires: ip->lock held.
 * Does:     shrinking: refuses pages past the new end (ip->shrink), zeroes the tail, drops the pages, then
 *           tells the file system, which sets ip->size. Growing: only the file system.
 * Returns:  0, -EFBIG, -EROFS, or the file system's error. May sleep.
 */
int
inode_truncate(struct inode *ip, uint64_t size)
{
	int err = 0;

	if (ip->sb->flags & MS_RDONLY)
		return -EROFS;
	if (size > ip->size && !size_room(ip, size - 1, 1))
		return -EFBIG;
	if (!ip->iops->truncate)
		return -EINVAL;
	if (size < ip->size) {
		err = zero_tail(ip, size);
		__atomic_store_n(&ip->shrink, size, __ATOMIC_RELEASE);
		if (!err)
			pagecache_truncate(ip, size);
	}
	if (!err)
		err = ip->iops->truncate(ip, size);
	__atomic_store_n(&ip->shrink, ~0ul, __ATOMIC_RELEASE);
	if (!err)
		inode_touch(ip, INODE_MTIME | INODE_CTIME);
	return err;
}
