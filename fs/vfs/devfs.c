/* devfs.c - /dev: a special file for every device there is.                                   (lab 7)
 *
 * Idea.       A fresh tmpfs, filled from the lists of character devices and disks when it is mounted. From
 *             then on it is an ordinary tree: nodes can be added, renamed and removed; what they mean is
 *             dev.c's business.
 * Interface.  The file-system type devtmpfs.
 * Locks.      sb->ns while filling, as dir_ops ask.
 */
#include "fs/vfs/dentry.h"
#include "fs/vfs/file.h"
#include "fs/vfs/super.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* Make one name in a directory; says so if it cannot. Requires: sb->ns. */
static void
node_make(struct inode *dir, const char *name, uint32_t mode, uint32_t rdev, const char *target)
{
	struct inode *ip;
	int err = dir->dops->create(dir, name, strlen(name), mode, rdev, target, &ip);

	if (err) {
		klog(LOG_WARN, "devfs: %s: error %d\n", name, -err);
		return;
	}
	ip->mode = mode;                       /* whatever the mounter's umask made of it */
	inode_put(ip);
}

static void
tree_fill(struct inode *root)
{
	static const char *const links[][2] = { { "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" } };

	for (struct chardev *c = NULL; (c = chardev_next(c)); )
		if (c->name && c->minor >= 0)
			node_make(root, c->name, S_IFCHR | c->mode, MKDEV(c->major, c->minor), NULL);
	for (struct blockdev *d = NULL; (d = blockdev_next(d)); )
		node_make(root, d->name, S_IFBLK | 0660, d->devno, NULL);
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		node_make(root, links[i][0], S_IFLNK | 0777, 0, links[i][1]);
	node_make(root, "shm", S_IFDIR | 01777, 0, NULL);
}

/* fs_type.mount: as tmpfs's, and the tree. -ENODEV without tmpfs. */
static int
devfs_mount(struct fs_type *t, struct blockdev *bdev, unsigned long flags, const char *data,
	struct super **out)
{
	struct fs_type *tmpfs = fs_find("tmpfs");
	int err;

	(void)data;
	if (!tmpfs)
		return -ENODEV;
	err = tmpfs->mount(tmpfs, bdev, flags, NULL, out);
	if (err)
		return err;
	(*out)->type = t;
	(*out)->root->inode->mode = S_IFDIR | 0755;
	mutex_lock(&(*out)->ns);
	tree_fill((*out)->root->inode);
	mutex_unlock(&(*out)->ns);
	return 0;
}

static struct fs_type devfs_type = { .name = "devtmpfs", .mount = devfs_mount };

static void
devfs_init(void)
{
	fs_register(&devfs_type);
}

INITCALL(7, devfs_init);
