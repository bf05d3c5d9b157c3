/* inode.h - inside the inode cache.                                                           (lab 7) */
#ifndef FS_VFS_INODE_H
#define FS_VFS_INODE_H

#include "fs/vfs/vfs.h"

enum { I_BAD = 16 };         /* could not be filled: the next inode_get tries again */

void inode_set_map_ops(const struct map_ops *ops);
/* The inode if nobody is just freeing it, referenced. */
bool inode_try_ref(struct inode *ip);
void inode_dirty_pages(struct inode *ip);                /* has pages to write; any lock context */
void inode_splice_dirty(struct super *sb, struct list *to);
struct inode *inode_pop(struct super *sb, struct list *from);
/* free up to n unused clean inodes; how many it did. May sleep */
int  inode_prune(int n);
void inode_evict_super(struct super *sb);                /* unmount: free all unused ones */
uint64_t inode_count(void);
bool inode_kick_pending(void);                           /* something became dirty since the last call */
extern struct waitq inode_dirty_wait;                    /* the flusher sleeps here */

static inline bool inode_is_dir(const struct inode *ip) { return S_ISDIR(ip->mode); }

#endif
