/* vmfile.c - programs and mappings that come from files: fills lab 4's and lab 5's slots.      (lab 7)
 *
 * Idea.       exec reads a program through a struct source: here one that stands for an inode, whose pages
 *             lab 5 maps straight from the page cache. mmap asks what object stands behind a descriptor.
 * Interface.  source_path, inode_path; exec_set_open and mm_set_fd_hook are filled on the last lines.
 * Invariants. I1 a source holds a reference on its path, so a running program's file system stays mounted.
 * Locks.      None.
 */
#include "fs/vfs/vmfile.h"

#include "fs/vfs/fd.h"
#include "fs/vfs/fsctx.h"
#include "fs/vfs/namei.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/proc/exec.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/abi/mount.h"

/* ---- exec ---- */

struct file_source {
	struct source s;
	struct path path;
};

static struct inode *
source_inode(struct source *s)
{
	return container_of(s, struct file_source, s)->path.dentry->inode;
}

static long
file_source_read(struct source *s, uint64_t off, void *buf, size_t n)
{
	return pagecache_read(source_inode(s), off, buf, n);
}

static void
file_source_put(struct source *s)
{
	struct file_source *f = container_of(s, struct file_source, s);

	inode_unclaim(source_inode(s), -1);
	path_put(&f->path);
	kfree(f);
}

static const struct source_ops file_source_ops = { .read = file_source_read, .put = file_source_put };

int
source_path(struct source *s, struct path *out)
{
	if (!s || s->ops != &file_source_ops)
		return -ENOENT;
	*out = path_get(&container_of(s, struct file_source, s)->path);
	return 0;
}

/* May this be executed? Regular, with permission, on a mount that allows it. */
static int
may_exec(const struct path *p)
{
	const struct inode *ip = p->dentry->inode;

	if (!S_ISREG(ip->mode) || ip->fops || p->mnt->flags & MS_NOEXEC)
		return -EACCES;
	return inode_permission(ip, MAY_EXEC);
}

/* lab 4's slot: a path becomes a source. -ENOENT, -ETXTBSY, -EACCES, -ENOTDIR, -ELOOP, -ENOMEM, -EIO. */
static int
source_open(const char *path, struct source **out)
{
	struct path p;

	if (!fsctx_current()->root.dentry)
		return exec_open_archive(path, out);
	int err = path_lookup(AT_FDCWD, path, WALK_FOLLOW, &p);
	if (err)
		return err;
	err = may_exec(&p);
	struct file_source *f = err ? NULL : kzalloc(sizeof *f);
	struct inode *ip = p.dentry->inode;
	if (!err)
		err = f ? inode_claim(ip, -1) : -ENOMEM;
	if (err) {
		kfree(f);
		path_put(&p);
		return err;
	}
	f->path = p;
	f->s = (struct source){ .ops = &file_source_ops, .refs = 1, .size = ip->size, .object = &ip->object,
		.mode = p.mnt->flags & MS_NOSUID ? ip->mode & ~(S_ISUID | S_ISGID) : ip->mode,
		.uid = ip->uid, .gid = ip->gid, .id = ip->ino };
	*out = &f->s;
	return 0;
}

/* ---- mmap ---- */

/* lab 5's slot: the object to map for a descriptor. Access is the descriptor's: reading always, writing for
 * shared stores. */
static int
object_of_fd(int fd, int prot, int flags, struct map_object **out)
{
	struct file *f = fd_get(fd);
	int err = 0;

	if (!f)
		return -EBADF;
	if (f->flags & O_PATH)
		err = -EBADF;
	else if (!file_readable(f) || ((flags & MAP_SHARED) && (prot & PROT_WRITE) && !file_writable(f)))
		err = -EACCES;
	else if (!f->ops->map)
		err = -ENODEV;
	else if ((prot & PROT_EXEC) && f->path.mnt && f->path.mnt->flags & MS_NOEXEC)
		err = -EPERM;
	else
		*out = f->ops->map(f, prot, flags, &err);
	file_put(f);
	return err;
}

/* ---- names of inodes, for /proc ---- */

int
inode_path(struct inode *ip, struct path *out)
{
	struct dentry *d = dentry_of_inode(ip);

	if (!d)
		return -ENOENT;
	for (struct mount *m = mount_next(NULL); m; m = mount_next(m))
		if (m->sb == ip->sb) {
			*out = (struct path){ m, d };
			return 0;
		}
	dentry_put(d);
	return -ENOENT;
}

static void
vmfile_init(void)
{
	exec_set_open(source_open);
	mm_set_fd_hook(object_of_fd);
}
INITCALL(7, vmfile_init);
