/* view.h - reading a file system of either version: one set of calls for 2.0 and 3.0. */
#ifndef ECLIPSEFS_HOST_VIEW_H
#define ECLIPSEFS_HOST_VIEW_H

#include "fs/eclipsefs/host/image.h"
#include "fs/eclipsefs/host/replay.h"
#include "fs/eclipsefs/layout.h"
#include "fs/eclipsefs/v2.h"

struct node {
	uint32_t ino, mode, nlink, uid, gid;
	uint64_t size, blocks, rdev;
	int64_t atime, mtime, ctime;
	uint32_t atime_ns, mtime_ns, ctime_ns;
	struct efs_inode v3;		/* the version's own */
	struct efs2_info v2;
};

struct entry { char name[EFS_NAME_MAX + 1]; uint32_t ino; };

struct view {
	struct image im;
	uint32_t version;
	struct efs_super sb;		/* 3.0 */
	struct log_content log;		/* 3.0: what a crash left in the journal; metadata is read through it */
	struct efs2_fs v2;		/* 2.0 */
	struct efs_extent_node node;	/* extent node read last */
	uint64_t node_block;		/* which, or 0 */
	struct efs_bitmap imap;		/* inode map block read last */
	uint64_t imap_block;
};

int view_open(struct view *v, const char *path, uint64_t offset);
uint32_t view_inodes(const struct view *v);
int view_node(struct view *v, uint32_t ino, struct node *out);
int view_hole(struct view *v, const struct node *n, uint64_t off, uint64_t *len);
int view_read(struct view *v, const struct node *n, uint64_t off, void *buf, size_t len);
int view_entries(struct view *v, const struct node *dir, struct entry **out, size_t *count);

#endif
