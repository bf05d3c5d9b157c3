/* mountcall.h - making a mount.                                                               (lab 7) */
#ifndef FS_VFS_MOUNTCALL_H
#define FS_VFS_MOUNTCALL_H

#include "fs/vfs/mount.h"

int  mount_new(struct fs_type *t, struct blockdev *bdev, const struct path *at, unsigned long flags,
	const char *data, const char *source, struct mount **out);

#endif
