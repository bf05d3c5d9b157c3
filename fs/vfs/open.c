/* open.c - open(2) and close(2).                                                              (lab 7)
 *
 * Idea.       Without O_CREAT an open is a lookup and a check. With it, the walk stops at the directory, so
 *             that looking and making are one step under sb->ns: of two O_EXCL opens one makes the file, the
 *             other sees it.
 * Interface.  file_open for the kernel; open, openat, creat, close, close_range.
 * Invariants. I1 f->path and f->inode are referenced while f lives.  I2 O_PATH files have no ops but
 * path_ops.
 * Locks.      sb->ns while creating; ip->lock for O_TRUNC.
 */
#include "fs/vfs/fd.h"
#include "fs/vfs/names.h"
#include "fs/vfs/openops.h"
#include "fs/vfs/pagewrite.h"
#include "kern/boot/initcall.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/abi/sysno.h"

static const struct file_ops path_ops;           /* O_PATH: a place, not contents */
static const struct file_ops *dir_ops = &path_ops, *regular_ops = &path_ops;

void
open_set_ops(const struct file_ops *dir, const struct file_ops *regular)
{
	dir_ops = dir;
	regular_ops = regular;
}

/* How opened files of this inode behave. */
static const struct file_ops *
ops_of(const struct inode *ip)
{
	if (ip->fops)
		return ip->fops;
	if (S_ISDIR(ip->mode))
		return dir_ops;
	if (S_ISFIFO(ip->mode))
		return &fifo_ops;
	return S_ISCHR(ip->mode) || S_ISBLK(ip->mode) ? &device_ops : regular_ops;
}

/* May an existing file be opened like this? */
static int
may_open(const struct path *p, uint32_t flags)
{
	static const uint8_t masks[] = { MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE };
	uint32_t mode = p->dentry->inode->mode;
	int mask = masks[flags & O_ACCMODE] | (flags & O_TRUNC ? MAY_WRITE : 0);

	if (S_ISLNK(mode))
		return -ELOOP;
	if (flags & O_DIRECTORY && !S_ISDIR(mode))
		return -ENOTDIR;
	if (S_ISDIR(mode) && (mask & MAY_WRITE || flags & O_CREAT))
		return -EISDIR;
	if (S_ISSOCK(mode))
		return -ENXIO;
	if ((S_ISCHR(mode) || S_ISBLK(mode)) && p->mnt->flags & MS_NODEV)
		return -EACCES;
	if (flags & O_NOATIME && !cred_owns(p->dentry->inode))
		return -EPERM;
	return path_permission(p, mask);
}

/* What opening does to the object: claim it for writing, the driver's own part, O_TRUNC. */
static int
open_object(struct file *f, uint32_t flags, bool made)
{
	struct inode *ip = f->inode;
	bool truncate = flags & O_TRUNC && !made && S_ISREG(ip->mode);
	int err = 0;

	if (S_ISREG(ip->mode) && (file_writable(f) || truncate)) {
		err = inode_claim(ip, +1);
		f->writes = !err;
	}
	if (!err && f->ops->open) {
		f->flags |= flags & O_NOCTTY;    /* for the open only */
		err = f->ops->open(ip, f);
		f->flags &= ~O_NOCTTY;
	}
	if (!err && truncate) {
		mutex_lock(&ip->lock);
		err = inode_truncate(ip, 0);
		mutex_unlock(&ip->lock);
	}
	return err;
}

/* Make the open file of a path whose references are taken over; `made`: just created, whatever its mode says.
 */
static int
open_path(struct path *p, uint32_t flags, bool made, struct file **out)
{
	struct inode *ip = p->dentry->inode;
	bool place = flags & O_PATH;
	uint32_t keep = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	struct file *f;
	int err = place || made ? 0 : may_open(p, flags);

	if (place) {
		keep &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
		if (flags & O_DIRECTORY && !S_ISDIR(ip->mode))
			err = -ENOTDIR;
	}
	if (!err)
		err = file_new(place ? &path_ops : ops_of(ip), inode_ref(ip), keep, &f);
	if (err) {
		path_put(p);
		return err;
	}
	f->path = *p;
	err = place ? 0 : open_object(f, flags, made);
	if (err) {
		file_put(f);
		return err;
	}
	*out = f;
	return 0;
}

/* O_CREAT, the walk stands before the last component. Returns 0 with *p referenced; 1: it was a symlink, walk
 * on; -errno. */
static int
create_last(struct walk *w, uint32_t flags, uint32_t mode, struct path *p, bool *made)
{
	struct super *sb = w->path.dentry->sb;
	struct dentry *d = NULL;

	if (w->kind != LAST_NAME)
		return flags & O_EXCL && w->kind != LAST_ROOT ? -EEXIST : -EISDIR;
	if (w->slash)
		return -EISDIR;
	mutex_lock(&sb->ns);
	int err = name_lookup_locked(w->path.dentry, w->last, w->len, &d);
	if (!err && !d->inode) {
		err = name_create(w, d, S_IFREG | (mode & 07777), 0, NULL);
		if (!err)
			*made = true;
	} else if (!err && flags & O_EXCL) {
		err = -EEXIST;
	}
	mutex_unlock(&sb->ns);
	if (err) {
		if (d)
			dentry_put(d);
		return err;
	}
	if (S_ISLNK(d->inode->mode) && !(d->flags & D_MOUNTED)) {
		err = flags & O_NOFOLLOW ? -ELOOP : walk_link(w, d);
		dentry_put(d);
		return err ? err : 1;
	}
	struct path here = { w->path.mnt, d };
	*p = path_get(&here);
	dentry_put(d);
	path_enter_mounts(p);
	return 0;
}

static int
open_create(int dirfd, const char *name, uint32_t flags, uint32_t mode, struct file **out)
{
	struct walk w;
	struct path p;
	bool made = false;
	int err = walk_begin(&w, dirfd, name, WALK_PARENT);

	if (err)
		return err;
	do {
		err = walk_run(&w);
		if (!err)
			err = create_last(&w, flags, mode, &p, &made);
	} while (err == 1);
	walk_end(&w);
	return err ? err : open_path(&p, flags, made, out);
}

/* Open by name, relative to dirfd. Returns 0 and an open file, or -errno as open(2). May sleep. */
int
file_open_at(int dirfd, const char *name, uint32_t flags, uint32_t mode, struct file **out)
{
	struct path p;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		return -EOPNOTSUPP;
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if (flags & O_CREAT && flags & O_DIRECTORY)
		return -EINVAL;
	if (flags & O_CREAT)
		return open_create(dirfd, name, flags, mode, out);
	unsigned how = (flags & O_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & O_DIRECTORY ? WALK_DIRECTORY : 0);
	int err = path_lookup(dirfd, name, how, &p);
	return err ? err : open_path(&p, flags, false, out);
}

int
file_open(const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
	return file_open_at(AT_FDCWD, path, flags, mode, out);
}

/* ---- system calls ---- */

static long
sys_openat(int dirfd, uint64_t upath, uint32_t flags, uint32_t mode)
{
	struct name n;
	struct file *f;
	long err = name_get(&n, upath);

	if (!err)
		err = file_open_at(dirfd, n.s, flags, mode, &f);
	name_put(&n);
	return err ? err : fd_install(f, 0, flags & O_CLOEXEC);
}

static long
sys_open(uint64_t upath, uint32_t flags, uint32_t mode)
{
	return sys_openat(AT_FDCWD, upath, flags, mode);
}

static long
sys_creat(uint64_t upath, uint32_t mode)
{
	return sys_openat(AT_FDCWD, upath, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static long
sys_close(int fd)
{
	return fd_close(fd);
}

static long
sys_close_range(uint32_t lo, uint32_t hi, uint32_t flags)
{
	enum { UNSHARE = 2, CLOEXEC = 4 };

	if (lo > hi || flags & ~(UNSHARE | CLOEXEC))
		return -EINVAL;
	if (!(flags & CLOEXEC)) {
		fd_close_range(lo, hi, false);
		return 0;
	}
	int fd = lo > INT32_MAX ? -1 : fd_next_of(current_proc(), lo);
	for (; fd >= 0 && (uint32_t)fd <= hi; fd = fd_next_of(current_proc(), fd + 1))
		fd_set_cloexec(fd, true);
	return 0;
}

static void
open_init(void)
{
	SYSCALL_REG(open, sys_open);
	SYSCALL_REG(openat, sys_openat);
	SYSCALL_REG(creat, sys_creat);
	SYSCALL_REG(close, sys_close);
	SYSCALL_REG(close_range, sys_close_range);
}
INITCALL(7, open_init);
