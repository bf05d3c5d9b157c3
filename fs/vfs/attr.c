/* attr.c - changing attributes: chmod, chown, utimes, truncate.                               (lab 7)
 *
 * Idea.       Each call finds an inode by path or descriptor, checks who may, stores the new values and marks
 *             the inode.
 * Interface.  System calls: chmod fchmod fchmodat chown lchown fchown fchownat utime utimes futimesat
 *             utimensat truncate ftruncate fallocate, and the xattr calls (EOPNOTSUPP: no file system here
 *             has them).
 * Locks.      ip->lock while attributes change, so that two fields change together.
 */
#include "fs/vfs/fd.h"
#include "fs/vfs/namei.h"
#include "fs/vfs/pagewrite.h"
#include "kern/boot/initcall.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"

/* ---- finding the inode ---- */

/* What a call works on. */
struct target {
	struct path path;          /* dentry NULL: a file without a name */
	struct file *file;         /* NULL: found by path */
	struct inode *ip;
};

static int
target_path(struct target *t, int dirfd, uint64_t upath, unsigned how)
{
	int err = path_lookup_user(dirfd, upath, how, &t->path);
	t->file = NULL;
	t->ip = err ? NULL : t->path.dentry->inode;
	return err;
}

static int
target_fd(struct target *t, int fd)
{
	t->file = fd_get(fd);
	if (!t->file)
		return -EBADF;
	t->path = t->file->path;
	t->ip = t->file->inode;
	if (t->ip)
		return 0;
	file_put(t->file);
	return -EINVAL;
}

static void
target_put(struct target *t)
{
	if (t->file)
		file_put(t->file);
	else
		path_put(&t->path);
}

static int
may_write_attr(const struct target *t)
{
	return t->path.dentry && path_readonly(&t->path) ? -EROFS : 0;
}

static unsigned
how_of(uint32_t flags)
{
	return (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}

/* ---- mode ---- */

static int
set_mode(struct target *t, uint32_t mode)
{
	struct inode *ip = t->ip;
	int err = may_write_attr(t);

	if (err)
		return err;
	if (S_ISLNK(ip->mode))
		return -EOPNOTSUPP;
	if (!cred_owns(ip))
		return -EPERM;
	mode &= 07777;
	if (!cred_is_root() && !cred_in_group(ip->gid, false))
		mode &= ~S_ISGID;
	mutex_lock(&ip->lock);
	ip->mode = (ip->mode & S_IFMT) | mode;
	inode_touch(ip, INODE_CTIME);
	mutex_unlock(&ip->lock);
	return 0;
}

static long
sys_fchmodat(int dirfd, uint64_t upath, uint32_t mode)
{
	struct target t;
	long err = target_path(&t, dirfd, upath, WALK_FOLLOW);
	if (err)
		return err;
	err = set_mode(&t, mode);
	target_put(&t);
	return err;
}

static long
sys_chmod(uint64_t upath, uint32_t mode)
{
	return sys_fchmodat(AT_FDCWD, upath, mode);
}

static long
sys_fchmod(int fd, uint32_t mode)
{
	struct target t;
	long err = target_fd(&t, fd);
	if (err)
		return err;
	err = t.file->flags & O_PATH ? -EBADF : set_mode(&t, mode);
	target_put(&t);
	return err;
}

/* ---- owner ---- */

static int
set_owner(struct target *t, uint32_t uid, uint32_t gid)
{
	struct inode *ip = t->ip;
	int err = may_write_attr(t);

	if (err)
		return err;
	if (!cred_is_root()) {
		bool mine = cred_uid() == ip->uid;
		if ((uid != ~0u && !(mine && uid == ip->uid)) ||
		    (gid != ~0u && !(mine && (gid == ip->gid || cred_in_group(gid, false)))))
			return -EPERM;
	}
	mutex_lock(&ip->lock);
	if (uid != ~0u)
		ip->uid = uid;
	if (gid != ~0u)
		ip->gid = gid;
	if (S_ISREG(ip->mode) && (uid != ~0u || gid != ~0u))
		ip->mode &= ~(S_ISUID | (ip->mode & S_IXGRP ? S_ISGID : 0));
	inode_touch(ip, INODE_CTIME);
	mutex_unlock(&ip->lock);
	return 0;
}

static long
sys_fchownat(int dirfd, uint64_t upath, uint32_t uid, uint32_t gid, uint32_t flags)
{
	struct target t;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	long err = target_path(&t, dirfd, upath, how_of(flags));
	if (err)
		return err;
	err = set_owner(&t, uid, gid);
	target_put(&t);
	return err;
}

static long
sys_chown(uint64_t upath, uint32_t uid, uint32_t gid)
{
	return sys_fchownat(AT_FDCWD, upath, uid, gid, 0);
}

static long
sys_lchown(uint64_t upath, uint32_t uid, uint32_t gid)
{
	return sys_fchownat(AT_FDCWD, upath, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static long
sys_fchown(int fd, uint32_t uid, uint32_t gid)
{
	struct target t;
	long err = target_fd(&t, fd);
	if (err)
		return err;
	err = t.file->flags & O_PATH ? -EBADF : set_owner(&t, uid, gid);
	target_put(&t);
	return err;
}

/* ---- times ---- */

#define TIME_OMIT INT64_MIN

/* now: both times are "the current time", which whoever may write may set. */
static int
set_times(struct target *t, int64_t atime, int64_t mtime, bool now)
{
	struct inode *ip = t->ip;
	int err = may_write_attr(t);

	if (err || (atime == TIME_OMIT && mtime == TIME_OMIT))
		return err;
	if (!cred_owns(ip)) {
		err = now ? inode_permission(ip, MAY_WRITE) : -EPERM;
		if (err)
			return err;
	}
	mutex_lock(&ip->lock);
	if (atime != TIME_OMIT)
		ip->atime = atime;
	if (mtime != TIME_OMIT)
		ip->mtime = mtime;
	inode_touch(ip, INODE_CTIME);
	mutex_unlock(&ip->lock);
	return 0;
}

/* Nanoseconds of a time, within what 64 bits hold. */
static int64_t
to_ns(int64_t sec, int64_t nsec)
{
	const int64_t most = INT64_MAX / (int64_t)NSEC - 1;
	sec = sec > most ? most : sec < -most ? -most : sec;
	return sec * (int64_t)NSEC + nsec;
}

static int
one_time(const struct timespec *ts, int64_t *ns)
{
	if (ts->tv_nsec == UTIME_OMIT)
		*ns = TIME_OMIT;
	else if (ts->tv_nsec == UTIME_NOW)
		*ns = clock_wall_ns();
	else if (ts->tv_nsec < 0 || ts->tv_nsec >= (int64_t)NSEC)
		return -EINVAL;
	else
		*ns = to_ns(ts->tv_sec, ts->tv_nsec);
	return 0;
}

/* upath 0: the descriptor itself (futimens). */
static long
times_at(int dirfd, uint64_t upath, const struct timespec ts[2], uint32_t flags)
{
	struct target t;
	int64_t a, m;
	bool now = ts[0].tv_nsec == UTIME_NOW && ts[1].tv_nsec == UTIME_NOW;
	long err = one_time(&ts[0], &a);

	if (!err)
		err = one_time(&ts[1], &m);
	if (!err)
		err = upath ? target_path(&t, dirfd, upath, how_of(flags)) : target_fd(&t, dirfd);
	if (err)
		return err;
	err = set_times(&t, a, m, now);
	target_put(&t);
	return err;
}

static const struct timespec both_now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

static long
sys_utimensat(int dirfd, uint64_t upath, uint64_t uts, uint32_t flags)
{
	struct timespec ts[2];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!uts)
		return times_at(dirfd, upath, both_now, flags);
	if (copyin(ts, uts, sizeof ts))
		return -EFAULT;
	return times_at(dirfd, upath, ts, flags);
}

static long
sys_futimesat(int dirfd, uint64_t upath, uint64_t utv)
{
	struct timeval tv[2];

	if (!utv)
		return times_at(dirfd, upath, both_now, 0);
	if (copyin(tv, utv, sizeof tv))
		return -EFAULT;
	if ((uint64_t)tv[0].tv_usec >= 1000000 || (uint64_t)tv[1].tv_usec >= 1000000)
		return -EINVAL;
	struct timespec ts[2] = { { tv[0].tv_sec, tv[0].tv_usec * 1000 }, { tv[1].tv_sec, tv[1].tv_usec * 1000 } };
	return times_at(dirfd, upath, ts, 0);
}

static long
sys_utimes(uint64_t upath, uint64_t utv)
{
	return upath ? sys_futimesat(AT_FDCWD, upath, utv) : -EFAULT;
}

static long
sys_utime(uint64_t upath, uint64_t ut)
{
	int64_t sec[2];

	if (!upath)
		return -EFAULT;
	if (!ut)
		return times_at(AT_FDCWD, upath, both_now, 0);
	if (copyin(sec, ut, sizeof sec))
		return -EFAULT;
	struct timespec ts[2] = { { sec[0], 0 }, { sec[1], 0 } };
	return times_at(AT_FDCWD, upath, ts, 0);
}

/* ---- size ---- */

static int
set_size(struct inode *ip, int64_t size, bool only_grow)
{
	int err = inode_claim(ip, +1);

	if (err)
		return err;
	mutex_lock(&ip->lock);
	if (!only_grow || (uint64_t)size > ip->size)
		err = inode_truncate(ip, size);
	mutex_unlock(&ip->lock);
	inode_unclaim(ip, +1);
	return err;
}

static long
sys_truncate(uint64_t upath, int64_t size)
{
	struct target t;

	if (size < 0)
		return -EINVAL;
	long err = target_path(&t, AT_FDCWD, upath, WALK_FOLLOW);
	if (err)
		return err;
	if (S_ISDIR(t.ip->mode))
		err = -EISDIR;
	else if (!S_ISREG(t.ip->mode))
		err = -EINVAL;
	else
		err = path_permission(&t.path, MAY_WRITE);
	if (!err)
		err = set_size(t.ip, size, false);
	target_put(&t);
	return err;
}

static long
sys_ftruncate(int fd, int64_t size)
{
	struct file *f = fd_get(fd);
	long err = 0;

	if (!f)
		return -EBADF;
	if (f->flags & O_PATH)
		err = -EBADF;
	else if (size < 0 || !file_writable(f) || !f->inode || !S_ISREG(f->inode->mode))
		err = -EINVAL;
	else
		err = set_size(f->inode, size, false);
	file_put(f);
	return err;
}

/* Only the plain kind: the range exists afterwards. Space is promised by reserve, as for writes. */
static long
sys_fallocate(int fd, int mode, int64_t off, int64_t len)
{
	struct file *f = fd_get(fd);
	long err = 0;

	if (!f)
		return -EBADF;
	if (off < 0 || len <= 0)
		err = -EINVAL;
	else if (mode)
		err = -EOPNOTSUPP;
	else if (!file_writable(f))
		err = -EBADF;
	else if (!f->inode || !S_ISREG(f->inode->mode))
		err = f->inode ? -ENODEV : -ESPIPE;
	else if (off > INT64_MAX - len)
		err = -EFBIG;
	else
		err = set_size(f->inode, off + len, true);
	file_put(f);
	return err;
}

static long
sys_no_xattr(void)
{
	return -EOPNOTSUPP;
}

static void
attr_init(void)
{
	SYSCALL_REG(chmod, sys_chmod);
	SYSCALL_REG(fchmod, sys_fchmod);
	SYSCALL_REG(fchmodat, sys_fchmodat);
	SYSCALL_REG(chown, sys_chown);
	SYSCALL_REG(lchown, sys_lchown);
	SYSCALL_REG(fchown, sys_fchown);
	SYSCALL_REG(fchownat, sys_fchownat);
	SYSCALL_REG(utime, sys_utime);
	SYSCALL_REG(utimes, sys_utimes);
	SYSCALL_REG(futimesat, sys_futimesat);
	SYSCALL_REG(utimensat, sys_utimensat);
	SYSCALL_REG(truncate, sys_truncate);
	SYSCALL_REG(ftruncate, sys_ftruncate);
	SYSCALL_REG(fallocate, sys_fallocate);
	for (int nr = SYS_setxattr; nr <= SYS_fremovexattr; nr++)
		syscall_register(nr, (syscall_fn)(void (*)(void))sys_no_xattr, 0);
}
INITCALL(7, attr_init);
