/* statcall.c - stat(2) and its family, statfs, access.                                        (lab 7)
 *
 * Idea.       The attributes of a cached name are copied while walking without locks; only if the name cache
 *             changed meanwhile, or something is not cached, is it done again with references.
 * Interface.  System calls: stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2
 *             readlink readlinkat.
 * Locks.      None: fields are read one by one, as they may change one by one.
 */
#include "fs/vfs/fd.h"
#include "fs/vfs/namei.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/abi/sysno.h"
#include "lib/kern/string.h"

/* ---- stat ---- */

static inline struct timespec
to_timespec(int64_t ns)
{
	struct timespec t = { ns / (int64_t)NSEC, ns % (int64_t)NSEC };

	if (t.tv_nsec < 0) {
		t.tv_nsec += NSEC;
		t.tv_sec--;
	}
	return t;
}

static void
fill_stat(struct stat *st, const struct inode *ip)
{
	st->st_dev = ip->sb->dev;
	st->st_ino = ip->ino;
	st->st_nlink = ip->nlink;
	st->st_mode = ip->mode;
	st->st_uid = ip->uid;
	st->st_gid = ip->gid;
	st->st_pad0 = 0;
	st->st_rdev = ip->rdev;
	st->st_size = ip->size;
	st->st_blksize = PAGE_SIZE;
	st->st_blocks = ip->blocks;
	st->st_atim = to_timespec(ip->atime);
	st->st_mtim = to_timespec(ip->mtime);
	st->st_ctim = to_timespec(ip->ctime);
	st->st_reserved[0] = st->st_reserved[1] = st->st_reserved[2] = 0;
}

/* Bring attributes up to date where they are made on demand. */
static int
refresh(struct inode *ip)
{
	return ip->iops->attr ? ip->iops->attr(ip) : 0;
}

static bool
stat_fast(int dirfd, const char *name, unsigned how, struct stat *st)
{
	uint32_t seq = dentry_read_begin();
	struct path p;

	if (!path_peek(dirfd, name, how, &p))
		return false;
	struct inode *ip = p.dentry->inode;
	if (!ip || ip->iops->attr)
		return false;
	fill_stat(st, ip);
	return dentry_read_valid(seq);
}

static int
stat_slow(int dirfd, const char *name, unsigned how, struct stat *st)
{
	struct path p;
	int err = path_lookup(dirfd, name, how, &p);

	if (err)
		return err;
	err = refresh(p.dentry->inode);
	if (!err)
		fill_stat(st, p.dentry->inode);
	path_put(&p);
	return err;
}

static int
stat_file(int fd, struct stat *st)
{
	struct file *f = fd_get(fd);
	int err = 0;

	if (!f)
		return -EBADF;
	if (f->inode) {
		err = refresh(f->inode);
		if (!err)
			fill_stat(st, f->inode);
	} else {                           /* a pipe: no inode, its own address tells it from others */
		memset(st, 0, sizeof *st);
		st->st_mode = S_IFIFO | 0600;
		st->st_nlink = 1;
		st->st_dev = makedev(0, 9);
		st->st_ino = (uint64_t)f->priv >> 4 & 0xffffffff;
		st->st_blksize = PAGE_SIZE;
	}
	file_put(f);
	return err;
}

static int
stat_user(int dirfd, uint64_t upath, unsigned how, struct stat *st)
{
	struct name n;
	int err = name_get(&n, upath);

	if (!err && !*n.s && how & WALK_EMPTY && dirfd != AT_FDCWD)
		err = stat_file(dirfd, st);
	else if (!err && !stat_fast(dirfd, n.s, how, st))
		err = stat_slow(dirfd, n.s, how, st);
	name_put(&n);
	return err;
}

static long
sys_stat(uint64_t upath, uint64_t ust)
{
	struct stat st;
	long err = stat_user(AT_FDCWD, upath, WALK_FOLLOW, &st);
	return err ? err : copyout(ust, &st, sizeof st);
}

static long
sys_lstat(uint64_t upath, uint64_t ust)
{
	struct stat st;
	long err = stat_user(AT_FDCWD, upath, 0, &st);
	return err ? err : copyout(ust, &st, sizeof st);
}

static long
sys_fstat(int fd, uint64_t ust)
{
	struct stat st;
	long err = stat_file(fd, &st);
	return err ? err : copyout(ust, &st, sizeof st);
}

static unsigned
how_of(uint32_t flags)
{
	return (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}

static long
sys_newfstatat(int dirfd, uint64_t upath, uint64_t ust, uint32_t flags)
{
	struct stat st;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return -EINVAL;
	long err = stat_user(dirfd, upath, how_of(flags), &st);
	return err ? err : copyout(ust, &st, sizeof st);
}

static void
fill_time(struct statx_timestamp *x, const struct timespec *t)
{
	x->tv_sec = t->tv_sec;
	x->tv_nsec = t->tv_nsec;
}

static long
sys_statx(int dirfd, uint64_t upath, uint32_t flags, uint32_t mask, uint64_t ux)
{
	struct statx x = { 0 };
	struct stat st;

	if (flags & ~0x7900u || mask & 1u << 31)     /* AT_* and AT_STATX_*_SYNC */
		return -EINVAL;
	long err = stat_user(dirfd, upath, how_of(flags), &st);
	if (err)
		return err;
	x.stx_mask = STATX_BASIC_STATS;
	x.stx_blksize = st.st_blksize;
	x.stx_nlink = st.st_nlink;
	x.stx_uid = st.st_uid;
	x.stx_gid = st.st_gid;
	x.stx_mode = st.st_mode;
	x.stx_ino = st.st_ino;
	x.stx_size = st.st_size;
	x.stx_blocks = st.st_blocks;
	fill_time(&x.stx_atime, &st.st_atim);
	fill_time(&x.stx_mtime, &st.st_mtim);
	fill_time(&x.stx_ctime, &st.st_ctim);
	x.stx_rdev_major = major(st.st_rdev);
	x.stx_rdev_minor = minor(st.st_rdev);
	x.stx_dev_major = major(st.st_dev);
	x.stx_dev_minor = minor(st.st_dev);
	return copyout(ux, &x, sizeof x);
}

/* ---- access, readlink ---- */

static long
do_access(int dirfd, uint64_t upath, uint32_t mode, uint32_t flags)
{
	struct path p;

	if (mode & ~7u || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	long err = path_lookup_user(dirfd, upath, how_of(flags), &p);
	if (err)
		return err;
	if (mode)
		err = path_permission(&p, mode | (flags & AT_EACCESS ? 0 : MAY_AS_REAL));
	path_put(&p);
	return err;
}

static long
sys_access(uint64_t upath, uint32_t mode)
{
	return do_access(AT_FDCWD, upath, mode, 0);
}

static long
sys_faccessat(int dirfd, uint64_t upath, uint32_t mode)
{
	return do_access(dirfd, upath, mode, 0);
}

static long
sys_faccessat2(int dirfd, uint64_t upath, uint32_t mode, uint32_t flags)
{
	return do_access(dirfd, upath, mode, flags);
}

static long
do_readlink(int dirfd, uint64_t upath, uint64_t ubuf, int n, unsigned how)
{
	struct path p;

	if (n <= 0)
		return -EINVAL;
	long r = path_lookup_user(dirfd, upath, how, &p);
	if (r)
		return r;
	struct inode *ip = p.dentry->inode;
	char *text = kmalloc(PATH_MAX);
	if (!text)
		r = -ENOMEM;
	else if (!S_ISLNK(ip->mode) || !ip->iops->readlink)
		r = -EINVAL;
	else
		r = ip->iops->readlink(ip, text, n < PATH_MAX ? n : PATH_MAX);
	if (r > 0 && copyout(ubuf, text, r))
		r = -EFAULT;
	kfree(text);
	path_put(&p);
	return r;
}

static long
sys_readlinkat(int dirfd, uint64_t upath, uint64_t ubuf, int n)
{
	return do_readlink(dirfd, upath, ubuf, n, WALK_EMPTY);
}

static long
sys_readlink(uint64_t upath, uint64_t ubuf, int n)
{
	return do_readlink(AT_FDCWD, upath, ubuf, n, 0);
}

/* ---- statfs ---- */

static long
statfs_path(const struct path *p, uint64_t ust)
{
	struct super *sb = p->dentry->sb;
	struct statfs st = { 0 };

	long err = sb->ops->statfs ? sb->ops->statfs(sb, &st) : 0;
	if (err)
		return err;
	st.f_fsid[0] = sb->dev;
	if (!st.f_bsize)
		st.f_bsize = PAGE_SIZE;
	if (!st.f_frsize)
		st.f_frsize = st.f_bsize;
	if (!st.f_namelen)
		st.f_namelen = NAME_MAX;
	st.f_flags |= 0x20;                /* ST_VALID: the flags mean something */
	if (path_readonly(p))
		st.f_flags |= ST_RDONLY;
	return copyout(ust, &st, sizeof st);
}

static long
sys_statfs(uint64_t upath, uint64_t ust)
{
	struct path p;
	long err = path_lookup_user(AT_FDCWD, upath, WALK_FOLLOW, &p);
	if (!err) {
		err = statfs_path(&p, ust);
		path_put(&p);
	}
	return err;
}

static long
sys_fstatfs(int fd, uint64_t ust)
{
	struct file *f = fd_get(fd);
	struct statfs st = { .f_type = PIPEFS_MAGIC, .f_bsize = PAGE_SIZE, .f_namelen = NAME_MAX };

	if (!f)
		return -EBADF;
	long err = f->path.dentry ? statfs_path(&f->path, ust) : copyout(ust, &st, sizeof st);
	file_put(f);
	return err;
}

static void
statcall_init(void)
{
	SYSCALL_REG(stat, sys_stat);
	SYSCALL_REG(lstat, sys_lstat);
	SYSCALL_REG(fstat, sys_fstat);
	SYSCALL_REG(newfstatat, sys_newfstatat);
	SYSCALL_REG(statx, sys_statx);
	SYSCALL_REG(access, sys_access);
	SYSCALL_REG(faccessat, sys_faccessat);
	SYSCALL_REG(faccessat2, sys_faccessat2);
	SYSCALL_REG(readlink, sys_readlink);
	SYSCALL_REG(readlinkat, sys_readlinkat);
	SYSCALL_REG(statfs, sys_statfs);
	SYSCALL_REG(fstatfs, sys_fstatfs);
}
INITCALL(7, statcall_init);
