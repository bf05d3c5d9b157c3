/* writeback.h - from the page cache to the disk.                                              (lab 7) */
#ifndef FS_VFS_WRITEBACK_H
#define FS_VFS_WRITEBACK_H

#include "fs/vfs/vfs.h"

/* contents changed; any page of ip, no spinlock */
void page_mark_dirty(struct inode *ip, struct page *p);
int  super_sync(struct super *sb, bool wait);
void super_sync_last(struct super *sb);
int  inode_sync(struct inode *ip, bool datasync);            /* fsync's work */
void writeback_balance(struct inode *ip);                    /* a writer: wait when too much is dirty */

#endif
