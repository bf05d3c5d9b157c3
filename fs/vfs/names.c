/* names.c - making, removing and renaming names.                                              (lab 7)
 *
 * Idea.       Each operation walks to the directory, takes the file system's sb->ns, looks the name up once
 *             more, checks everything that can be refused, lets the file system do it, and tells the name
 *             cache.
 * Interface.  names.h, with the system calls at the end.
 * Invariants. I1 names of a file system change only under its sb->ns.  I2 the cache never knows a name before
 * the file system
 *             does, nor longer.
 * Locks.      sb->ns.
 */
#include "fs/vfs/names.h"

#include "fs/vfs/inode.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"
#include "lib/kern/string.h"

/* ---- checks ---- */

static int
may_change(const struct path *dir)
{
	return path_permission(dir, MAY_WRITE | MAY_EXEC);
}

/* May the name of ip be taken out of this directory? Sticky directories: only by the owner of either. */
static int
may_remove(const struct path *dir, const struct inode *ip)
{
	const struct inode *dp = dir->dentry->inode;
	int err = may_change(dir);

	if (!err && dp->mode & S_ISVTX && !cred_owns(ip) && !cred_owns(dp))
		err = -EPERM;
	return err;
}

/* Walk to the directory of name, take sb->ns and find the last component's dentry. `odd`: the error for `.`,
 * `..` and "/". After 0 the caller ends with parent_end. */
static int
parent_begin(struct walk *w, int dirfd, const char *name, int odd, struct dentry **out)
{
	int err = walk_begin(w, dirfd, name, WALK_PARENT);
	if (err)
		return err;
	err = walk_run(w);
	if (!err && w->kind != LAST_NAME)
		err = odd;
	if (!err) {
		mutex_lock(&w->path.dentry->sb->ns);
		err = name_lookup_locked(w->path.dentry, w->last, w->len, out);
		if (err)
			mutex_unlock(&w->path.dentry->sb->ns);
	}
	if (err)
		walk_end(w);
	return err;
}

static void
parent_end(struct walk *w, struct dentry *d)
{
	mutex_unlock(&w->path.dentry->sb->ns);
	dentry_put(d);
	walk_end(w);
}

/* ---- making ---- */

int
name_create(struct walk *w, struct dentry *d, uint32_t mode, uint32_t rdev, const char *target)
{
	struct inode *dir = w->path.dentry->inode, *ip;
	struct proc *p = current_proc();
	int err = may_change(&w->path);

	if (err)
		return err;
	if (!dir->nlink)
		return -ENOENT;
	if (!dir->dops->create)
		return -EPERM;
	if (!S_ISLNK(mode) && p)
		mode &= ~p->umask;
	if (S_ISDIR(mode) && dir->mode & S_ISGID)
		mode |= S_ISGID;
	err = dir->dops->create(dir, w->last, w->len, mode, rdev, target, &ip);
	if (err)
		return err;
	ip->uid = cred_uid();
	ip->gid = dir->mode & S_ISGID ? dir->gid : cred_gid();
	inode_dirty(ip);
	dentry_set_inode(d, ip);
	return 0;
}

/* Make a directory, device, fifo, symlink or plain file. Returns 0, -EEXIST, and what a walk and the file
 * system say. */
int
vfs_create(int dirfd, const char *name, uint32_t mode, uint32_t rdev, const char *target)
{
	struct walk w;
	struct dentry *d;
	int err = parent_begin(&w, dirfd, name, -EEXIST, &d);

	if (err)
		return err;
	if (d->inode)
		err = -EEXIST;
	else if (w.slash && !S_ISDIR(mode))
		err = -ENOENT;
	else
		err = name_create(&w, d, mode, rdev, target);
	parent_end(&w, d);
	return err;
}

int
vfs_link(int ofd, const char *old, int nfd, const char *new, unsigned how)
{
	struct path from;
	struct walk w;
	struct dentry *d;
	int err = path_lookup(ofd, old, how, &from);

	if (err)
		return err;
	err = parent_begin(&w, nfd, new, -EEXIST, &d);
	if (err) {
		path_put(&from);
		return err;
	}
	struct inode *ip = from.dentry->inode, *dir = w.path.dentry->inode;
	if (d->inode)
		err = -EEXIST;
	else if (w.slash)
		err = -ENOENT;
	else if (from.mnt != w.path.mnt)
		err = -EXDEV;
	else if (S_ISDIR(ip->mode) || !dir->dops->link)
		err = -EPERM;
	else if (!ip->nlink)
		err = -ENOENT;
	else
		err = may_change(&w.path);
	if (!err)
		err = dir->dops->link(dir, w.last, w.len, ip);
	if (!err)
		dentry_set_inode(d, inode_ref(ip));
	parent_end(&w, d);
	path_put(&from);
	return err;
}

/* ---- removing ---- */

/* unlink (dir false) or rmdir. Returns 0, -ENOENT, -EISDIR, -ENOTDIR, -ENOTEMPTY, -EBUSY (mounted on),
 * -EACCES, -EPERM, -EROFS. */
int
vfs_unlink(int dirfd, const char *name, bool dir)
{
	struct walk w;
	struct dentry *d;
	int err = parent_begin(&w, dirfd, name, dir ? -EBUSY : -EISDIR, &d);

	if (err)
		return err;
	struct inode *ip = d->inode, *dp = w.path.dentry->inode;
	if (!ip)
		err = -ENOENT;
	else if (!dir && w.slash)
		err = S_ISDIR(ip->mode) ? -EISDIR : -ENOTDIR;
	else
		err = may_remove(&w.path, ip);
	if (!err && dir != S_ISDIR(ip->mode))
		err = dir ? -ENOTDIR : -EISDIR;
	if (!err && d->flags & D_MOUNTED)
		err = -EBUSY;
	if (!err && !dp->dops->unlink)
		err = -EPERM;
	if (!err)
		err = dp->dops->unlink(dp, w.last, w.len, ip);
	if (!err)
		dentry_delete(d);
	parent_end(&w, d);
	return err;
}

/* ---- renaming ---- */

/* Everything that can be refused about moving od (in o) over nd (in n); sb->ns held. 1: nothing to do. */
static int
rename_check(struct walk *o, struct dentry *od, struct walk *n, struct dentry *nd, unsigned flags)
{
	struct inode *ip = od->inode, *target = nd->inode;

	if (!ip)
		return -ENOENT;
	if (target && flags & RENAME_NOREPLACE)
		return -EEXIST;
	bool dir = S_ISDIR(ip->mode);
	if (!dir && (o->slash || n->slash))
		return -ENOTDIR;
	if (dentry_is_below(n->path.dentry, od))
		return -EINVAL;
	if (dentry_is_below(o->path.dentry, nd))
		return -ENOTEMPTY;
	if (ip == target)
		return 1;
	int err = may_remove(&o->path, ip);
	if (!err)
		err = target ? may_remove(&n->path, target) : may_change(&n->path);
	if (err)
		return err;
	if (!n->path.dentry->inode->nlink)
		return -ENOENT;
	if (target && dir != S_ISDIR(target->mode))
		return dir ? -ENOTDIR : -EISDIR;
	if ((od->flags | nd->flags) & D_MOUNTED)
		return -EBUSY;
	return n->path.dentry->inode->dops->rename ? 0 : -EPERM;
}

/* With both parents walked to, on one mount: find, check, rename. */
static int
rename_between(struct walk *o, struct walk *n, unsigned flags)
{
	struct super *sb = o->path.dentry->sb;
	struct inode *odir = o->path.dentry->inode, *ndir = n->path.dentry->inode;
	struct dentry *od, *nd;

	mutex_lock(&sb->ns);
	int err = name_lookup_locked(o->path.dentry, o->last, o->len, &od);
	if (!err) {
		err = name_lookup_locked(n->path.dentry, n->last, n->len, &nd);
		if (!err) {
			err = rename_check(o, od, n, nd, flags);
			if (!err)
				err = odir->dops->rename(odir, o->last, o->len, od->inode, ndir, n->last, n->len, nd->inode);
			if (!err)
				dentry_move(od, n->path.dentry, n->last, n->len, nd);
			dentry_put(nd);
		}
		dentry_put(od);
	}
	mutex_unlock(&sb->ns);
	return err > 0 ? 0 : err;
}

int
vfs_rename(int ofd, const char *old, int nfd, const char *new, unsigned flags)
{
	struct walk o, n;

	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	int err = walk_begin(&o, ofd, old, WALK_PARENT);
	if (err)
		return err;
	err = walk_run(&o);
	if (!err)
		err = walk_begin(&n, nfd, new, WALK_PARENT);
	if (err) {
		walk_end(&o);
		return err;
	}
	err = walk_run(&n);
	if (!err && o.path.mnt != n.path.mnt)
		err = -EXDEV;
	if (!err && (o.kind != LAST_NAME || n.kind != LAST_NAME))
		err = -EBUSY;
	if (!err)
		err = rename_between(&o, &n, flags);
	walk_end(&n);
	walk_end(&o);
	return err;
}

/* ---- system calls ---- */

static long
create_user(int dirfd, uint64_t upath, uint32_t mode, uint32_t rdev, const char *target)
{
	struct name n;
	long err = name_get(&n, upath);
	if (!err)
		err = vfs_create(dirfd, n.s, mode, rdev, target);
	name_put(&n);
	return err;
}

static long
sys_mkdirat(int dirfd, uint64_t path, uint32_t mode)
{
	return create_user(dirfd, path, S_IFDIR | (mode & 01777), 0, NULL);
}

static long
sys_mkdir(uint64_t path, uint32_t mode)
{
	return sys_mkdirat(AT_FDCWD, path, mode);
}

static long
sys_mknodat(int dirfd, uint64_t path, uint32_t mode, uint32_t rdev)
{
	uint32_t type = mode & S_IFMT;

	if (!type)
		type = S_IFREG;
	if (type == S_IFDIR)
		return -EPERM;
	bool dev = type == S_IFCHR || type == S_IFBLK;
	if (!dev && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	if (dev && !cred_is_root())
		return -EPERM;
	return create_user(dirfd, path, type | (mode & 07777), dev ? rdev : 0, NULL);
}

static long
sys_mknod(uint64_t path, uint32_t mode, uint32_t rdev)
{
	return sys_mknodat(AT_FDCWD, path, mode, rdev);
}

static long
sys_symlinkat(uint64_t target, int dirfd, uint64_t path)
{
	struct name t;
	long err = name_get(&t, target);
	if (!err && !*t.s)
		err = -ENOENT;
	if (!err)
		err = create_user(dirfd, path, S_IFLNK | 0777, 0, t.s);
	name_put(&t);
	return err;
}

static long
sys_symlink(uint64_t target, uint64_t path)
{
	return sys_symlinkat(target, AT_FDCWD, path);
}

static long
unlink_user(int dirfd, uint64_t path, bool dir)
{
	struct name n;
	long err = name_get(&n, path), odd = -EBUSY;
	size_t len = err ? 0 : strlen(n.s);

	while (len > 1 && n.s[len - 1] == '/')
		len--;
	if (!err && dir && len && n.s[len - 1] == '.') {         /* rmdir has an errno for each of these */
		if (len == 1 || n.s[len - 2] == '/')
			odd = -EINVAL;
		else if (n.s[len - 2] == '.' && (len == 2 || n.s[len - 3] == '/'))
			odd = -ENOTEMPTY;
	}
	if (!err)
		err = vfs_unlink(dirfd, n.s, dir);
	if (err == -EBUSY)                                       /* but only when the way there exists */
		err = odd;
	name_put(&n);
	return err;
}

static long
sys_unlinkat(int dirfd, uint64_t path, uint32_t flags)
{
	return flags & ~AT_REMOVEDIR ? -EINVAL : unlink_user(dirfd, path, flags & AT_REMOVEDIR);
}

static long
sys_unlink(uint64_t path)
{
	return unlink_user(AT_FDCWD, path, false);
}

static long
sys_rmdir(uint64_t path)
{
	return unlink_user(AT_FDCWD, path, true);
}

/* Two paths for link and rename. */
static long
with_two(int ofd, uint64_t old, int nfd, uint64_t new, unsigned arg,
	int (*fn)(int ofd, const char *old, int nfd, const char *new, unsigned arg))
{
	struct name o, n = { .s = n.small };
	long err = name_get(&o, old);
	if (!err)
		err = name_get(&n, new);
	if (!err)
		err = fn(ofd, o.s, nfd, n.s, arg);
	name_put(&o);
	name_put(&n);
	return err;
}

static long
sys_linkat(int ofd, uint64_t old, int nfd, uint64_t new, uint32_t flags)
{
	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	unsigned how = (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
	return with_two(ofd, old, nfd, new, how, vfs_link);
}

static long
sys_link(uint64_t old, uint64_t new)
{
	return with_two(AT_FDCWD, old, AT_FDCWD, new, 0, vfs_link);
}

static long
sys_renameat2(int ofd, uint64_t old, int nfd, uint64_t new, uint32_t flags)
{
	return with_two(ofd, old, nfd, new, flags, vfs_rename);
}

static long
sys_renameat(int ofd, uint64_t old, int nfd, uint64_t new)
{
	return with_two(ofd, old, nfd, new, 0, vfs_rename);
}

static long
sys_rename(uint64_t old, uint64_t new)
{
	return with_two(AT_FDCWD, old, AT_FDCWD, new, 0, vfs_rename);
}

static void
names_init(void)
{
	SYSCALL_REG(mkdir, sys_mkdir);
	SYSCALL_REG(mkdirat, sys_mkdirat);
	SYSCALL_REG(mknod, sys_mknod);
	SYSCALL_REG(mknodat, sys_mknodat);
	SYSCALL_REG(symlink, sys_symlink);
	SYSCALL_REG(symlinkat, sys_symlinkat);
	SYSCALL_REG(unlink, sys_unlink);
	SYSCALL_REG(unlinkat, sys_unlinkat);
	SYSCALL_REG(rmdir, sys_rmdir);
	SYSCALL_REG(link, sys_link);
	SYSCALL_REG(linkat, sys_linkat);
	SYSCALL_REG(rename, sys_rename);
	SYSCALL_REG(renameat, sys_renameat);
	SYSCALL_REG(renameat2, sys_renameat2);
}
INITCALL(7, names_init);
