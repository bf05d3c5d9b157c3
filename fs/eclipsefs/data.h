/* data.h - file contents.                                                                     (lab 8) */
#ifndef ECLIPSEFS_DATA_H
#define ECLIPSEFS_DATA_H

#include "fs/eclipsefs/efs.h"

int efs_data_init(struct efs *fs);
int efs_link_write(struct efs *fs, struct inode *ip, const char *target, size_t n);
extern struct waitq efs_data_wait;		/* some file system's ndata reached 0 */
extern const struct inode_ops efs_file_iops, efs_link_iops;

#endif
