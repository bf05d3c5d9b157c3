/* regular.h - helpers for files with a size and times.                                        (lab 7) */
#ifndef FS_VFS_REGULAR_H
#define FS_VFS_REGULAR_H

#include "fs/vfs/file.h"

void file_accessed(struct file *f);                  /* something was read: access time, when it is due */
long seek_in(struct file *f, int64_t off, int whence, uint64_t size);    /* lseek's arithmetic; sets f->pos */

#endif
