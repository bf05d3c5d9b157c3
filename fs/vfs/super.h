/* super.h - the list of file-system types and of mounted file systems.                        (lab 7) */
#ifndef FS_VFS_SUPER_H
#define FS_VFS_SUPER_H

#include "fs/vfs/vfs.h"

struct fs_type *fs_find(const char *name);
struct fs_type *fs_next(struct fs_type *t);          /* NULL: first */
/* referenced; drops the reference on sb; NULL: first / none left */
struct super *super_next(struct super *sb);
void super_ref(struct super *sb);
void super_unref(struct super *sb);
bool super_in_use(struct blockdev *bdev);            /* some super sits on this device */

#endif
