/* pageread.h - filling the page cache.                                                        (lab 7) */
#ifndef FS_VFS_PAGEREAD_H
#define FS_VFS_PAGEREAD_H

#include "fs/vfs/file.h"

/* Start reading what is absent of pages [first, first+n); does not wait. */
int  pagecache_start(struct inode *ip, uint64_t first, uint64_t n);
/* Give locked, invalid pages with consecutive numbers to the file system; their references go with them. */
void pagecache_submit_read(struct inode *ip, struct page **pages, int n);
/* As pagecache_get; when page `index` has to be read, `n` pages are. */
int  pagecache_get_ahead(struct inode *ip, uint64_t index, uint64_t n, struct page **out);
/* read(2) through the cache of ip (f->inode, or a block device's). f NULL: no read-ahead state. */
long pagecache_read_user(struct inode *ip, struct file *f, uint64_t ubuf, size_t n, uint64_t *pos);

#endif
