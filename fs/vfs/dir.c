/* dir.c - directories: getdents, chdir, getcwd, chroot.                                       (lab 7)
 *
 * Idea.       readdir emits names into a kernel buffer in the user's format while sb->ns is held; it is
 *             copied out afterwards. The offset of an open directory is the file system's cookie: 0 and 1 are
 *             `.` and `..`, which are made here.
 * Interface.  System calls: getdents getdents64 chdir fchdir getcwd chroot.
 * Invariants. I1 f->pos names the next entry to emit; an entry that did not fit is emitted again.
 * Locks.      f->pos_lock, then sb->ns.
 */
#include "fs/vfs/fd.h"
#include "fs/vfs/fsctx.h"
#include "fs/vfs/namei.h"
#include "fs/vfs/openops.h"
#include "fs/vfs/regular.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/dirent.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"
#include "lib/kern/string.h"

#define DENTS_MAX 32768      /* bytes emitted per call */

/* Where entries go. */
struct dents {
	char *buf;
	size_t size, used;
	bool old;                  /* getdents: the type is the record's last byte */
	bool full;                 /* an entry did not fit */
};

/* Append one entry; nonzero when there is no room. `next`: the cookie of the entry after it. */
static int
emit(void *arg, const char *name, size_t len, uint64_t ino, int type, uint64_t next)
{
	struct dents *o = arg;
	struct linux_dirent64 *e = (void *)(o->buf + o->used);
	size_t head = offsetof(struct linux_dirent64, d_name) - (o->old ? 1 : 0);
	size_t bytes = (head + len + (o->old ? 2 : 1) + 7) & ~7ul;

	if (bytes > o->size - o->used) {
		o->full = true;
		return 1;
	}
	memset(e, 0, bytes);
	e->d_ino = ino;
	e->d_off = next;
	e->d_reclen = bytes;
	memcpy((char *)e + head, name, len);
	if (o->old)
		((char *)e)[bytes - 1] = type;
	else
		e->d_type = type;
	o->used += bytes;
	return 0;
}

/* `.`, `..`, then the file system's entries, as far as they fit. */
static int
fill(struct file *f, struct dents *o)
{
	struct dentry *d = f->path.dentry;
	struct inode *ip = f->inode;

	if (f->pos == 0 && !emit(o, ".", 1, ip->ino, DT_DIR, 1))
		f->pos = 1;
	if (f->pos == 1) {
		struct path up = path_get(&f->path), root;
		fsctx_paths(fsctx_current(), &root, NULL);
		path_up(&up, &root);
		if (!emit(o, "..", 2, up.dentry->inode ? up.dentry->inode->ino : ip->ino, DT_DIR, 2))
			f->pos = 2;
		path_put(&up);
		path_put(&root);
	}
	if (o->full)
		return 0;
	mutex_lock(&d->sb->ns);
	int err = !ip->nlink ? -ENOENT : ip->dops->readdir ? ip->dops->readdir(ip, &f->pos, emit, o) : 0;
	mutex_unlock(&d->sb->ns);
	return err < 0 ? err : 0;
}

static long
getdents(int fd, uint64_t ubuf, uint32_t n, bool old)
{
	struct dents o = { .size = n < DENTS_MAX ? n : DENTS_MAX, .old = old };
	struct file *f = fd_get(fd);

	if (!f)
		return -EBADF;
	long r = f->flags & O_PATH ? -EBADF : !f->inode || !f->inode->dops || !f->path.dentry ? -ENOTDIR : 0;
	if (!r) {
		o.buf = kmalloc(o.size ? o.size : 1);
		r = o.buf ? 0 : -ENOMEM;
	}
	if (!r) {
		mutex_lock(&f->pos_lock);
		uint64_t start = f->pos;
		r = fill(f, &o);
		if (!r && o.used && copyout(ubuf, o.buf, o.used))
			r = -EFAULT;
		if (r < 0)
			f->pos = start;
		mutex_unlock(&f->pos_lock);
		if (!r)
			r = o.used ? (long)o.used : o.full ? -EINVAL : 0;
		file_accessed(f);
	}
	kfree(o.buf);
	file_put(f);
	return r;
}

static long
sys_getdents64(int fd, uint64_t ubuf, uint32_t n)
{
	return getdents(fd, ubuf, n, false);
}

static long
sys_getdents(int fd, uint64_t ubuf, uint32_t n)
{
	return getdents(fd, ubuf, n, true);
}

/* lseek on a directory: only to a cookie that getdents gave, or to the start. */
static long
dir_seek(struct file *f, int64_t off, int whence)
{
	if (whence == SEEK_CUR)
		off += f->pos;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (off < 0)
		return -EINVAL;
	f->pos = off;
	return off;
}

static int
dir_fsync(struct file *f, bool datasync)
{
	struct inode *ip = f->inode;

	if (ip->iops->fsync)
		return ip->iops->fsync(ip, datasync);
	return ip->sb->ops->sync ? ip->sb->ops->sync(ip->sb, true) : 0;
}

static const struct file_ops dir_file_ops = { .seek = dir_seek, .fsync = dir_fsync };

/* ---- where the process is ---- */

static int
may_enter(const struct path *p)
{
	const struct inode *ip = p->dentry->inode;
	return S_ISDIR(ip->mode) ? inode_permission(ip, MAY_EXEC) : -ENOTDIR;
}

static long
change_dir(uint64_t upath, void (*set)(struct path *p))
{
	struct path p;
	long err = path_lookup_user(AT_FDCWD, upath, WALK_FOLLOW | WALK_DIRECTORY, &p);

	if (err)
		return err;
	err = may_enter(&p);
	if (err)
		path_put(&p);
	else
		set(&p);
	return err;
}

static long
sys_chdir(uint64_t upath)
{
	return change_dir(upath, fsctx_set_cwd);
}

static long
sys_chroot(uint64_t upath)
{
	return cred_is_root() ? change_dir(upath, fsctx_set_root) : -EPERM;
}

static long
sys_fchdir(int fd)
{
	struct file *f = fd_get(fd);

	if (!f)
		return -EBADF;
	long err = f->path.dentry ? may_enter(&f->path) : -ENOTDIR;
	if (!err) {
		struct path p = path_get(&f->path);
		fsctx_set_cwd(&p);
	}
	file_put(f);
	return err;
}

static long
sys_getcwd(uint64_t ubuf, size_t n)
{
	struct path root, cwd;
	char *buf = kmalloc(PATH_MAX), *text;

	if (!buf)
		return -ENOMEM;
	fsctx_paths(fsctx_current(), &root, &cwd);
	long r = path_string(&cwd, &root, buf, PATH_MAX, &text);
	path_put(&root);
	path_put(&cwd);
	if (!r) {
		size_t len = strlen(text) + 1;
		r = len > n ? -ERANGE : copyout(ubuf, text, len) ? -EFAULT : (long)len;
	}
	kfree(buf);
	return r;
}

static void
dir_init(void)
{
	open_set_ops(&dir_file_ops, &pagecache_file_ops);
	SYSCALL_REG(getdents, sys_getdents);
	SYSCALL_REG(getdents64, sys_getdents64);
	SYSCALL_REG(chdir, sys_chdir);
	SYSCALL_REG(fchdir, sys_fchdir);
	SYSCALL_REG(chroot, sys_chroot);
	SYSCALL_REG(getcwd, sys_getcwd);
}
INITCALL(7, dir_init);
