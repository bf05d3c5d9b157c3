/* test_disk.h - an EclipseFS on a disk in memory, for the tests of labs 8 and 9.                (lab 8)
 *
 * testfs_begin() makes disk and mount point, testfs_format() an empty file system on it. A test may watch
 * the requests, fail them, and change the disk under the file system.
 */
#ifndef ECLIPSEFS_TEST_DISK_H
#define ECLIPSEFS_TEST_DISK_H

#include "fs/eclipsefs/efs.h"

#define TESTFS_DIR    "/tmp/efstest"
#define TESTFS_INODES 600u

struct testfs {
	uint8_t *memory;
	uint32_t blocks;
	uint32_t journal;		/* blocks of its area, or 0 */
	uint32_t map, imap, table, data;	/* first blocks of the areas, of the data */
	int fail_after;			/* requests until the disk fails for good; 0: never */
	int (*watch)(const struct bio *b);	/* sees each request before it is done; -errno fails it. Or NULL */
};
extern struct testfs testfs;

void testfs_begin(uint32_t blocks, uint32_t journal);
void testfs_end(void);
void testfs_format(void);
void *testfs_block(uint64_t n);
uint64_t testfs_free_blocks(void);		/* what the superblock on the disk says */
int  testfs_attach(unsigned long flags);
void testfs_detach(void);

/* Files by name, through the page cache. */
struct inode *testfs_inode(const char *name, struct path *p);	/* path_put(p) follows, unless NULL */
int  testfs_make(const char *name, uint32_t type);
long testfs_write(const char *name, uint64_t off, const void *buf, size_t n);
long testfs_read(const char *name, uint64_t off, void *buf, size_t n);
int  testfs_truncate(const char *name, uint64_t size);
int  testfs_fsync(const char *name);

#endif
