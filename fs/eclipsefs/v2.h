/* v2.h - reading EclipseFS 2.0: where things are, through a read function of the caller's.      (lab 8) */
#ifndef ECLIPSEFS_V2_H
#define ECLIPSEFS_V2_H

#include "fs/eclipsefs/format.h"

/* Read `n` bytes at `off` (from the start of the file system) to `buf`. Returns 0, or a negative error. */
typedef int efs2_read_fn(void *ctx, uint64_t off, void *buf, size_t n);

struct efs2_fs {
	efs2_read_fn *read;
	void *ctx;
	uint64_t limit;			/* bytes of the device */
	uint64_t table, table_size;	/* inode table */
	uint32_t inodes;
	uint32_t entry_size;		/* 8 or 16 */
	uint64_t created;
};

/* What a node record says. Content: `size` bytes of the file, link target or directory entries at
 * `content`. */
struct efs2_info {
	uint32_t ino, mode, uid, gid, nlink;
	uint64_t size;			/* as stat gives it: 0 for directories */
	int64_t atime, mtime, ctime;
	uint64_t content, content_len;
};

#define EFS2_EBAD (-74)			/* -EBADMSG: not what the format allows */

int efs2_open(struct efs2_fs *fs, efs2_read_fn *read, void *ctx, uint64_t limit, const char **wrong);
int efs2_node_get(struct efs2_fs *fs, uint32_t ino, struct efs2_info *out);
int efs2_dirent_get(struct efs2_fs *fs, const struct efs2_info *dir, uint64_t *pos, uint32_t *ino,
    char name[256]);

#endif
