/* vmfile.h - programs and mappings that come from files.                                      (lab 7) */
#ifndef FS_VFS_VMFILE_H
#define FS_VFS_VMFILE_H

#include "fs/vfs/mount.h"
#include "kern/proc/source.h"

/* Where a program was found: a referenced path. -ENOENT: it came from the boot archive. */
int  source_path(struct source *s, struct path *out);
/* A path whose name leads to this inode, referenced; -ENOENT when none is cached. */
int  inode_path(struct inode *ip, struct path *out);

#endif
