/* names.h - making, removing and renaming names.                                              (lab 7) */
#ifndef FS_VFS_NAMES_H
#define FS_VFS_NAMES_H

#include "fs/vfs/namei.h"

/* Make the name that a WALK_PARENT walk ended at: w->path's sb->ns held, d its negative dentry. Sets owner
 * and mode & ~umask. */
int  name_create(struct walk *w, struct dentry *d, uint32_t mode, uint32_t rdev, const char *target);
/* Whole operations; name: kernel text. */
int  vfs_create(int dirfd, const char *name, uint32_t mode, uint32_t rdev, const char *target);
int  vfs_unlink(int dirfd, const char *name, bool dir);
int  vfs_link(int ofd, const char *old, int nfd, const char *new, unsigned how);
int  vfs_rename(int ofd, const char *old, int nfd, const char *new, unsigned flags);

#endif
