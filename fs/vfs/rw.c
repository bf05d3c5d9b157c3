/* rw.c - read(2), write(2) and their family; lseek.                                           (lab 7)
 *
 * Idea.       A call finds the file, checks how it was opened, chooses an offset (the file's, or the caller's
 *             own) and lets the file's ops do the work.
 * Interface.  System calls: read write pread64 pwrite64 readv writev preadv pwritev lseek.
 * Invariants. I1 the file's offset moves by what was transferred, under pos_lock when somebody else may move
 * it too.
 * Locks.      f->pos_lock, when the file is seekable and shared.
 */
#include "fs/vfs/file.h"

#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"
#include "lib/abi/uio.h"

#define RW_MAX 0x7ffff000ul  /* most bytes in one call, as on Linux */

/* The offset is only locked when another thread or process could be using it: references beyond the table's
 * and ours. */
static inline bool
pos_begin(struct file *f)
{
	bool lock = f->ops->seek && __atomic_load_n(&f->refs, __ATOMIC_RELAXED) > 2;
	if (lock)
		mutex_lock(&f->pos_lock);
	return lock;
}

static inline void
pos_end(struct file *f, bool locked)
{
	if (locked)
		mutex_unlock(&f->pos_lock);
}

typedef long rw_fn(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos);

/* Why a file cannot be read (written): it was not opened for it, it is a directory, or it has no such op. */
static __attribute__((noinline)) long
rw_refused(const struct file *f, bool write)
{
	if (f->flags & O_PATH || !(write ? file_writable(f) : file_readable(f)))
		return -EBADF;
	return f->inode && S_ISDIR(f->inode->mode) ? -EISDIR : -EINVAL;
}

/* The op that reads (writes) this file; NULL when that is refused. */
static inline rw_fn *
rw_op(const struct file *f, bool write)
{
	if (f->flags & O_PATH || (f->flags & O_ACCMODE) == (write ? O_RDONLY : O_WRONLY))
		return NULL;
	return write ? f->ops->write : f->ops->read;
}

static inline long
file_rw(struct file *f, bool write, rw_fn *op, uint64_t ubuf, size_t n, uint64_t *pos)
{
	if (n > RW_MAX)
		n = RW_MAX;
	if (!n && !write)
		return 0;
	return op(f, ubuf, n, pos);
}

static inline long
sys_rw(int fd, uint64_t ubuf, size_t n, bool write)
{
	struct file *f = fd_get(fd);
	if (!f)
		return -EBADF;
	rw_fn *op = rw_op(f, write);
	long r;
	if (op) {
		bool locked = pos_begin(f);
		r = file_rw(f, write, op, ubuf, n, &f->pos);
		pos_end(f, locked);
	} else {
		r = rw_refused(f, write);
	}
	file_put(f);
	return r;
}

static long
sys_read(int fd, uint64_t ubuf, size_t n)
{
	return sys_rw(fd, ubuf, n, false);
}

static long
sys_write(int fd, uint64_t ubuf, size_t n)
{
	return sys_rw(fd, ubuf, n, true);
}

static long
sys_prw(int fd, uint64_t ubuf, size_t n, int64_t off, bool write)
{
	if (off < 0)
		return -EINVAL;
	struct file *f = fd_get(fd);
	if (!f)
		return -EBADF;
	uint64_t pos = off;
	rw_fn *op = rw_op(f, write);
	long r = !f->ops->seek ? -ESPIPE : op ? file_rw(f, write, op, ubuf, n, &pos) : rw_refused(f, write);
	file_put(f);
	return r;
}

static long
sys_pread64(int fd, uint64_t ubuf, size_t n, int64_t off)
{
	return sys_prw(fd, ubuf, n, off, false);
}

static long
sys_pwrite64(int fd, uint64_t ubuf, size_t n, int64_t off)
{
	return sys_prw(fd, ubuf, n, off, true);
}

/* ---- vectors ---- */

/* Copy in and check the pieces: at most RW_MAX bytes in all. *out is allocated. */
static int
iov_get(uint64_t uiov, int n, struct iovec **out)
{
	size_t total = 0;

	if (n < 0 || n > IOV_MAX)
		return -EINVAL;
	struct iovec *v = kmalloc(n ? n * sizeof *v : 1);
	if (!v)
		return -ENOMEM;
	int err = copyin(v, uiov, n * sizeof *v);
	for (int i = 0; i < n && !err; i++) {
		if ((int64_t)v[i].iov_len < 0)
			err = -EINVAL;
		if (v[i].iov_len > RW_MAX - total)
			v[i].iov_len = RW_MAX - total;
		total += v[i].iov_len;
	}
	if (err) {
		kfree(v);
		return err;
	}
	*out = v;
	return 0;
}

/* Piece by piece until one comes up short. */
static long
each_piece(struct file *f, const struct iovec *v, int n, uint64_t *pos, bool write)
{
	rw_fn *op = rw_op(f, write);
	long done = 0;

	for (int i = 0; i < n; i++) {
		if (!v[i].iov_len)
			continue;
		long r = file_rw(f, write, op, (uint64_t)v[i].iov_base, v[i].iov_len, pos);
		if (r < 0)
			return done ? done : r;
		done += r;
		if ((size_t)r < v[i].iov_len)
			break;
	}
	return done;
}

/* off NULL: the file's own offset. */
static long
rwv(int fd, uint64_t uiov, int n, uint64_t *off, bool write)
{
	struct iovec *v;
	struct file *f = fd_get(fd);

	if (!f)
		return -EBADF;
	long r = off && !f->ops->seek ? -ESPIPE : rw_op(f, write) ? 0 : rw_refused(f, write);
	if (!r)
		r = iov_get(uiov, n, &v);
	if (!r) {
		bool locked = !off && pos_begin(f);
		r = each_piece(f, v, n, off ? off : &f->pos, write);
		pos_end(f, locked);
		kfree(v);
	}
	file_put(f);
	return r;
}

static long
sys_readv(int fd, uint64_t uiov, int n)
{
	return rwv(fd, uiov, n, NULL, false);
}

static long
sys_writev(int fd, uint64_t uiov, int n)
{
	return rwv(fd, uiov, n, NULL, true);
}

static long
sys_preadv(int fd, uint64_t uiov, int n, uint64_t off)
{
	return (int64_t)off < 0 ? -EINVAL : rwv(fd, uiov, n, &off, false);
}

static long
sys_pwritev(int fd, uint64_t uiov, int n, uint64_t off)
{
	return (int64_t)off < 0 ? -EINVAL : rwv(fd, uiov, n, &off, true);
}

/* ---- lseek ---- */

static long
sys_lseek(int fd, int64_t off, int whence)
{
	struct file *f = fd_get(fd);
	if (!f)
		return -EBADF;
	long r = f->flags & O_PATH ? -EBADF : -ESPIPE;
	if (f->ops->seek) {
		bool locked = pos_begin(f);
		r = f->ops->seek(f, off, whence);
		pos_end(f, locked);
	}
	file_put(f);
	return r;
}

static void
rw_init(void)
{
	SYSCALL_REG(read, sys_read);
	SYSCALL_REG(write, sys_write);
	SYSCALL_REG(pread64, sys_pread64);
	SYSCALL_REG(pwrite64, sys_pwrite64);
	SYSCALL_REG(readv, sys_readv);
	SYSCALL_REG(writev, sys_writev);
	SYSCALL_REG(preadv, sys_preadv);
	SYSCALL_REG(pwritev, sys_pwritev);
	SYSCALL_REG(lseek, sys_lseek);
}
INITCALL(7, rw_init);
