/* super.h - the list of file-system types and of mounted file systems.                        (lab 7) */
#ifndef FS_VFS_SUPER_H
#define FS_VFS_SUPER_H

#include "fs/vfs/vfs.h"

struct fs_type *fs_find(const char *name);
struct fs_type *fs_next(struct fs_type *t);          /* NULL: first */
/* referenced; drops the reference on sb; NULL: first / none left */
struct super *super_next(struct super *sb);
/* Who comes to a super through a list of the whole machine's (the flusher, reclaim) and not through a mount
 * enters it first. False: it is being mounted or unmounted, leave it alone. super_end waits until the last has
 * left. */
void super_live(struct super *sb);                   /* its mount() is over: it may be entered */
bool super_enter(struct super *sb);
void super_leave(struct super *sb);
void super_end(struct super *sb);                    /* nobody enters any more. May sleep */
void super_ref(struct super *sb);
void super_unref(struct super *sb);
bool super_in_use(struct blockdev *bdev);            /* some super sits on this device */

#endif
