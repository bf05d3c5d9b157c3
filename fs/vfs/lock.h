/* lock.h - byte-range locks and flock.                                                        (lab 7) */
#ifndef FS_VFS_LOCK_H
#define FS_VFS_LOCK_H

#include "fs/vfs/vfs.h"

/* One lock, held or asked for. owner: the descriptor table (byte ranges) or the open file (flock). */
struct flk {
	struct list link;
	struct inode *ip;
	const void *owner;
	bool whole;                /* flock: a kind of its own */
	int type;                  /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t lo, hi;           /* inclusive */
	int pid;
};

int  flk_set(const struct flk *want, bool wait);     /* -EAGAIN, -EDEADLK, -ENOLCK, -ERESTARTSYS */
bool flk_test(const struct flk *want, struct flk *other);        /* true: *other is in the way */
void flk_drop(struct inode *ip, const void *owner);  /* all of this owner's on ip; cheap when nobody locks */

#endif
