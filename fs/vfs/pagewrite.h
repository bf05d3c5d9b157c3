/* pagewrite.h - changing files through the page cache.                                        (lab 7) */
#ifndef FS_VFS_PAGEWRITE_H
#define FS_VFS_PAGEWRITE_H

#include "fs/vfs/file.h"

/* write(2) to ip at *pos; ip->lock held. */
long pagecache_write_user(struct inode *ip, uint64_t ubuf, size_t n, uint64_t *pos);
/* Write from kernel memory; ip->lock held (boot archive, tests). */
long pagecache_write(struct inode *ip, uint64_t off, const void *buf, size_t n);
/* Set the size of a regular file; ip->lock held. -EFBIG, -EROFS, -EIO, -ENOSPC. */
int  inode_truncate(struct inode *ip, uint64_t size);
/* A page is about to be stored to through a mapping: reserve its space and mark it dirty. */
int  pagecache_make_writable(struct inode *ip, struct page *p);

#endif
