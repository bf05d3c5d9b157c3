/* mountcall.c - mount(2), umount(2).                                                          (lab 7)
 *
 * Idea.       Find the type, find the disk if the type needs one, let the type make a super, hang it into the
 *             tree. A disk that is mounted already gives the same super a second mount.
 * Interface.  vfs_mount for the kernel; mount, umount2.
 * Locks.      mount_making RANK_VFS(75): one mount at a time, so that two do not open the same disk.
 */
#include "fs/vfs/mountcall.h"

#include "fs/vfs/namei.h"
#include "fs/vfs/super.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/abi/sysno.h"
#include "lib/kern/string.h"

/* flags that belong to a mount; MS_RDONLY also to the super */
#define MOUNT_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME)
/* also unbindable and slave: one namespace, no effect */
#define PROPAGATION (MS_PRIVATE | MS_SHARED | 1 << 17 | 1 << 19)

static struct mutex mount_making = MUTEX(mount_making, "mount", RANK_VFS(75));

/* The block device that a source names: a special file, or what blockdev_find knows. */
static int
find_device(const char *src, struct blockdev **out)
{
	struct path p;

	*out = NULL;
	int err = path_lookup(AT_FDCWD, src, WALK_FOLLOW, &p);
	if (!err) {
		struct inode *ip = p.dentry->inode;
		err = S_ISBLK(ip->mode) ? -ENXIO : -ENOTBLK;
		for (struct blockdev *d = NULL; err == -ENXIO && (d = blockdev_next(d));)
			if (d->devno == ip->rdev) {
				*out = d;
				err = 0;
			}
		path_put(&p);
		return err;
	}
	*out = blockdev_find(src);
	return *out ? 0 : err;
}

/* The super already on this device, referenced, or NULL. */
static struct super *
super_on(struct blockdev *bdev)
{
	struct super *sb = super_next(NULL);

	while (sb && (sb->bdev != bdev || !sb->nmounts))
		sb = super_next(sb);
	return sb;
}

/* Mount type t at `at` (NULL: as the root).
 *
 * Returns:  0; -EBUSY: the disk is in use by another type; -ENOSPC: too many mounts; what the type's mount()
 *           says. May sleep.
 */
int
mount_new(struct fs_type *t, struct blockdev *bdev, const struct path *at, unsigned long flags,
	const char *data, const char *source, struct mount **out)
{
	struct super *sb = NULL;
	int err = 0;

	mutex_lock(&mount_making);
	struct super *old = bdev ? super_on(bdev) : NULL;
	if (old && (old->type != t || (old->flags ^ flags) & MS_RDONLY))
		err = -EBUSY;
	else if (old)
		sb = old;
	else
		err = t->mount(t, bdev, flags, data, &sb);
	if (!err && !old) {
		sb->bdev = bdev;
		if (bdev)
			sb->dev = bdev->devno;
		sb->flags |= flags & MS_RDONLY;
		super_live(sb);
	}
	if (!err)
		err = mount_attach(at, sb, sb->root, flags & MOUNT_FLAGS, source, out);
	if (err && sb && !old)
		super_kill(sb);
	if (old)
		super_unref(old);
	mutex_unlock(&mount_making);
	return err;
}

static int
bind(const char *src, const struct path *at, unsigned long flags)
{
	struct path from;
	struct mount *m;
	int err = path_lookup(AT_FDCWD, src, WALK_FOLLOW, &from);

	if (err)
		return err;
	if (S_ISDIR(from.dentry->inode->mode) != S_ISDIR(at->dentry->inode->mode))
		err = -ENOTDIR;
	if (!err)
		err = mount_attach(at, from.dentry->sb, from.dentry, from.mnt->flags | (flags & MOUNT_FLAGS), src, &m);
	if (!err)
		mount_put(m);
	path_put(&from);
	return err;
}

/* Change the flags of a mount; the file system only notices when it becomes writable or read-only. */
static int
remount(const struct path *at, unsigned long flags)
{
	struct super *sb = at->mnt->sb;
	int err = 0;

	if (at->dentry != at->mnt->root)
		return -EINVAL;
	if (!(flags & MS_BIND) && (sb->flags ^ flags) & MS_RDONLY) {
		if (sb->bdev && sb->bdev->readonly && !(flags & MS_RDONLY))
			return -EROFS;
		err = super_sync(sb, true);
		if (!err && sb->ops->remount)
			err = sb->ops->remount(sb, flags);
		if (!err)
			sb->flags = (sb->flags & ~MS_RDONLY) | (flags & MS_RDONLY);
	}
	if (!err)
		at->mnt->flags = flags & MOUNT_FLAGS;
	return err;
}

/* The work of mount(2) with kernel texts; type and data may be NULL. */
int
vfs_mount(const char *src, const char *path, const char *type, unsigned long flags, const char *data)
{
	struct blockdev *bdev = NULL;
	struct mount *m;
	struct path at;
	int err = path_lookup(AT_FDCWD, path, WALK_FOLLOW, &at);

	if (err)
		return err;
	struct fs_type *t = type ? fs_find(type) : NULL;
	if (flags & MS_REMOUNT)
		err = remount(&at, flags);
	else if (flags & MS_BIND)
		err = bind(src, &at, flags);
	else if (flags & PROPAGATION)
		err = 0;
	else if (flags & MS_MOVE)
		err = -EINVAL;
	else if (!S_ISDIR(at.dentry->inode->mode))
		err = -ENOTDIR;
	else if (!t)
		err = -ENODEV;
	else {
		err = t->needs_dev ? find_device(src, &bdev) : 0;
		if (!err)
			err = mount_new(t, bdev, &at, flags, data, src && *src ? src : type, &m);
		if (!err)
			mount_put(m);
	}
	path_put(&at);
	return err;
}

/* ---- system calls ---- */

/* An optional text argument; NULL when the address is 0. */
static int
text_get(uint64_t u, struct name *n, const char **out)
{
	*out = NULL;
	n->s = n->small;
	if (!u)
		return 0;
	int err = name_get(n, u);
	*out = n->s;
	return err;
}

static long
sys_mount(uint64_t usrc, uint64_t upath, uint64_t utype, uint64_t flags, uint64_t udata)
{
	struct name *n = kmalloc(4 * sizeof *n);
	const char *src, *path, *type, *data;

	if (!n)
		return -ENOMEM;
	for (int i = 0; i < 4; i++)
		n[i].s = n[i].small;
	if ((flags & MS_MGC_MSK) == MS_MGC_VAL)
		flags &= ~(uint64_t)MS_MGC_MSK;
	long err = cred_is_root() ? 0 : -EPERM;
	if (!err)
		err = text_get(usrc, &n[0], &src);
	if (!err)
		err = text_get(upath, &n[1], &path);
	if (!err)
		err = text_get(utype, &n[2], &type);
	if (!err)
		err = text_get(udata, &n[3], &data);
	if (!err && !path)
		err = -EFAULT;
	if (!err)
		err = vfs_mount(src ? src : "", path, type, flags, data);
	for (int i = 0; i < 4; i++)
		name_put(&n[i]);
	kfree(n);
	return err;
}

static long
sys_umount2(uint64_t upath, uint32_t flags)
{
	struct path p;

	if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -EINVAL;
	if (!cred_is_root())
		return -EPERM;
	long err = path_lookup_user(AT_FDCWD, upath, flags & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW, &p);
	if (err)
		return err;
	bool top = p.dentry == p.mnt->root;
	dentry_put(p.dentry);
	err = top ? mount_detach(p.mnt, flags & MNT_DETACH) : -EINVAL;
	mount_put(p.mnt);
	return err;
}

static void
mountcall_init(void)
{
	SYSCALL_REG(mount, sys_mount);
	SYSCALL_REG(umount2, sys_umount2);
}
INITCALL(7, mountcall_init);
