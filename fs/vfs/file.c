/* file.c - open files.                                                                        (lab 7)
 *
 * Idea.       A struct file is what open() made: an inode (or a pipe), flags and an offset. Descriptors of
 *             any number of processes may refer to it (fd.c); the last reference closes it.
 * Interface.  file.h: file_new, file_ref, file_put.
 * Invariants. I1 ops, inode and path do not change once a descriptor refers to the file.
 * Locks.      None here; pos_lock belongs to the calls that move the offset (rw.c).
 */
#include "fs/vfs/file.h"

#include "fs/vfs/lock.h"
#include "fs/vfs/mount.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"

static uint32_t nfiles;

uint32_t
file_count(void)
{
	return __atomic_load_n(&nfiles, __ATOMIC_RELAXED);
}

/* A file with one reference, without a path; takes over ip's reference, also on failure.
 * Returns: 0, -ENFILE when a fair share of memory is open files already, -ENOMEM. */
int
file_new(const struct file_ops *ops, struct inode *ip, uint32_t flags, struct file **out)
{
	struct file *f = NULL;
	int err = -ENFILE;

	if (nfiles < page_count_total()) {
		f = kmalloc(sizeof *f);
		err = -ENOMEM;
	}
	if (!f) {
		if (ip)
			inode_put(ip);
		return err;
	}
	f->refs = 1;
	f->flags = flags;
	f->ops = ops;
	f->inode = ip;
	f->path = (struct path){ 0 };
	f->pos = 0;
	mutex_init(&f->pos_lock, "file position", RANK_VFS(80));
	f->ra_next = f->ra_size = f->ra_end = 0;
	f->locked = f->writes = false;
	f->priv = NULL;
	__atomic_add_fetch(&nfiles, 1, __ATOMIC_RELAXED);
	*out = f;
	return 0;
}

/* The last reference is gone: file_put calls this. May sleep. */
void
file_close(struct file *f)
{
	if (f->locked)
		flk_drop(f->inode, f);
	if (f->ops->release)
		f->ops->release(f);
	if (f->path.dentry)
		path_put(&f->path);
	if (f->writes)
		inode_unclaim(f->inode, +1);
	if (f->inode)
		inode_put(f->inode);
	kfree(f);
	__atomic_sub_fetch(&nfiles, 1, __ATOMIC_RELAXED);
}
