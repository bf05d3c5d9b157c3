/* statfs.h - statfs(2). */
#pragma once
#include <stdint.h>

#define TMPFS_MAGIC     0x01021994
#define RAMFS_MAGIC     0x858458f6
#define PROC_SUPER_MAGIC 0x9fa0
#define PIPEFS_MAGIC    0x50495045

#define ST_RDONLY       0x0001
#define ST_NOSUID       0x0002
#define ST_NODEV        0x0004
#define ST_NOEXEC       0x0008
#define ST_NOATIME      0x0400

struct statfs {
	int64_t f_type;
	int64_t f_bsize;
	uint64_t f_blocks;
	uint64_t f_bfree;
	uint64_t f_bavail;
	uint64_t f_files;
	uint64_t f_ffree;
	int32_t f_fsid[2];
	int64_t f_namelen;
	int64_t f_frsize;
	int64_t f_flags;
	int64_t f_spare[4];
};
