/* openops.h - opening by name, and the ops that open.c gives to directories and regular files.  (lab 7) */
#ifndef FS_VFS_OPENOPS_H
#define FS_VFS_OPENOPS_H

#include "fs/vfs/file.h"

int  file_open_at(int dirfd, const char *name, uint32_t flags, uint32_t mode, struct file **out);
void open_set_ops(const struct file_ops *dir, const struct file_ops *regular);

#endif
