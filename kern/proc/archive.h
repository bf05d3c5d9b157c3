/* archive.h - the boot archive: a cpio "newc" file that the loader put in memory.             (lab 4) */
#ifndef KERN_PROC_ARCHIVE_H
#define KERN_PROC_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

struct archive_entry {
	const char *name;          /* not NUL-safe beyond namelen; without leading "./" or "/" */
	size_t namelen;
	uint32_t mode, uid, gid, mtime, nlink, ino;
	const void *data;          /* in the direct map */
	uint64_t size;
};

/* Next entry after *pos (0: first). 1: got one, 0: end, -EINVAL: damaged archive from here on. Bounds are
 * checked. */
int archive_next(uint64_t *pos, struct archive_entry *e);
/* 0, -ENOENT; follows symlinks inside, -ELOOP */
int archive_find(const char *path, struct archive_entry *e);
/* archive_next on any bytes */
int archive_parse(const char *base, uint64_t size, uint64_t *pos, struct archive_entry *e);

#endif
