/* test_disk.c - an EclipseFS on a disk in memory.                                               (lab 8)
 *
 * Idea.       A blockdev whose requests are memcpy, formatted by hand.
 * Interface.  test_disk.h.
 * Invariants. None.
 * Locks.      None: one test at a time.
 */
#include "fs/eclipsefs/test_disk.h"

#include "fs/eclipsefs/crc.h"
#include "fs/vfs/mountcall.h"
#include "fs/vfs/names.h"
#include "fs/vfs/pagewrite.h"
#include "fs/vfs/super.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

struct testfs testfs;

/* ---- the disk ---- */

static void
ram_submit(struct blockdev *d, struct bio *b)
{
	uint64_t at = b->disk_sector * SECTOR_SIZE;
	int err = testfs.watch ? testfs.watch(b) : 0;

	(void)d;
	if (testfs.fail_after && --testfs.fail_after == 0) {
		testfs.fail_after = 1;
		err = -EIO;
	}
	for (uint32_t i = 0; !err && b->op != BIO_FLUSH && i < b->nvec; at += b->vec[i++].len) {
		void *ram = testfs.memory + at, *page = P2V(b->vec[i].phys);
		b->op == BIO_READ ? memcpy(page, ram, b->vec[i].len) : memcpy(ram, page, b->vec[i].len);
	}
	bio_complete(b, err);
}

static const struct blockdev_ops ram_ops = { .submit = ram_submit };
static struct blockdev ram = {
	.name = "efstest", .devno = 0xff00, .max_vec = 64, .max_sectors = 2048, .has_flush = true, .ops = &ram_ops,
	.disk = &ram,
};

void *
testfs_block(uint64_t n)
{
	return testfs.memory + n * EFS_BLOCK;
}

uint64_t
testfs_free_blocks(void)
{
	return ((struct efs_super *)testfs_block(EFS_SUPER_BLOCK))->free_blocks;
}

/* Make the disk and the mount point. The directory may be there, from a run that was cut off: the root may be a
 * disk. */
void
testfs_begin(uint32_t blocks, uint32_t journal)
{
	uint32_t map = EFS_FIRST_AREA + journal, table = map + 2;

	testfs = (struct testfs){
		.memory = kmalloc(blocks * EFS_BLOCK), .blocks = blocks, .journal = journal, .map = map, .imap = map + 1,
		.table = table, .data = table + TESTFS_INODES / EFS_INODES_PER_BLOCK,
	};
	ram.nsectors = blocks * 8;
	vfs_create(AT_FDCWD, "/tmp", S_IFDIR | 0777, 0, NULL);
	int err = vfs_create(AT_FDCWD, TESTFS_DIR, S_IFDIR | 0755, 0, NULL);
	CHECK(err == 0 || err == -EEXIST);
	CHECK(testfs.memory);
}

void
testfs_end(void)
{
	CHECK_EQ(vfs_unlink(AT_FDCWD, TESTFS_DIR, true), 0);
	kfree(testfs.memory);
	testfs.memory = NULL;
}

/* ---- an empty file system ---- */

static void
map_make(uint64_t block, uint32_t magic, uint32_t total, uint32_t used, uint32_t fsid)
{
	struct efs_bitmap *map = testfs_block(block);

	efs_mb_init(map, magic, block, fsid, 0);
	for (uint32_t i = 0; i < EFS_MAP_BITS; i++)
		if (i < used || i >= total)
			map->bits[i / 64] |= 1ul << i % 64;
	efs_mb_seal(map);
}

static void
super_make(struct efs_super *sb)
{
	memcpy(sb->h.magic, EFS_MAGIC, EFS_MAGIC_LEN);
	sb->h.version = EFS_VERSION_3;
	sb->h.total_inodes = TESTFS_INODES;
	sb->h.inode_table_offset = testfs.table * EFS_BLOCK;
	sb->h.inode_table_size = (testfs.data - testfs.table) * EFS_BLOCK;
	sb->block_size = EFS_BLOCK;
	sb->fsid = crc32c(0, sb->uuid, sizeof(sb->uuid));
	sb->blocks = testfs.blocks;
	sb->bmap_start = testfs.map, sb->bmap_blocks = 1;
	sb->imap_start = testfs.imap, sb->imap_blocks = 1;
	sb->itable_start = testfs.table, sb->itable_blocks = testfs.data - testfs.table;
	sb->journal_start = testfs.journal ? EFS_FIRST_AREA : 0, sb->journal_blocks = testfs.journal;
	sb->data_start = testfs.data;
	sb->state = EFS_CLEAN;
	sb->free_blocks = testfs.blocks - testfs.data;
	sb->free_inodes = TESTFS_INODES - 1;
	efs_super_seal(sb);
}

/* An empty 3.0 file system. */
void
testfs_format(void)
{
	struct efs_super *sb = testfs_block(EFS_SUPER_BLOCK);
	struct efs_inode_block *ib = testfs_block(testfs.table);
	struct efs_jsuper *js = testfs_block(EFS_FIRST_AREA);

	memset(testfs.memory, 0, testfs.blocks * EFS_BLOCK);
	super_make(sb);
	map_make(testfs.map, EFS_MB_BMAP, testfs.blocks, testfs.data, sb->fsid);
	map_make(testfs.imap, EFS_MB_IMAP, TESTFS_INODES, 1, sb->fsid);
	efs_mb_init(ib, EFS_MB_INODES, testfs.table, sb->fsid, 0);
	ib->inodes[0] = (struct efs_inode){ .mode = S_IFDIR | 0755, .nlink = 2, .parent = EFS_ROOT_INO };
	efs_mb_seal(ib);
	if (testfs.journal) {
		efs_mb_init(js, EFS_MB_JSUPER, EFS_FIRST_AREA, sb->fsid, 0);
		js->length = testfs.journal;
		js->seq = 1;
		efs_mb_seal(js);
	}
}

int
testfs_attach(unsigned long flags)
{
	struct path at;
	struct mount *m;
	int err = path_lookup(AT_FDCWD, TESTFS_DIR, WALK_FOLLOW, &at);

	if (err)
		return err;
	err = mount_new(fs_find("eclipsefs"), &ram, &at, flags, NULL, "efstest", &m);
	path_put(&at);
	if (!err)
		mount_put(m);
	return err;
}

void
testfs_detach(void)
{
	struct path p;

	CHECK_EQ(path_lookup(AT_FDCWD, TESTFS_DIR, WALK_FOLLOW, &p), 0);
	dentry_put(p.dentry);
	CHECK_EQ(mount_detach(p.mnt, false), 0);
	mount_put(p.mnt);
}

/* ---- files ---- */

struct inode *
testfs_inode(const char *name, struct path *p)
{
	return path_lookup(AT_FDCWD, name, 0, p) ? NULL : p->dentry->inode;
}

int
testfs_make(const char *name, uint32_t type)
{
	return vfs_create(AT_FDCWD, name, type | 0644, 0, NULL);
}

long
testfs_write(const char *name, uint64_t off, const void *buf, size_t n)
{
	struct path p;
	struct inode *ip = testfs_inode(name, &p);

	if (!ip)
		return -ENOENT;
	mutex_lock(&ip->lock);
	long got = pagecache_write(ip, off, buf, n);
	mutex_unlock(&ip->lock);
	path_put(&p);
	return got;
}

long
testfs_read(const char *name, uint64_t off, void *buf, size_t n)
{
	struct path p;
	struct inode *ip = testfs_inode(name, &p);
	long got = ip ? pagecache_read(ip, off, buf, n) : -ENOENT;

	if (ip)
		path_put(&p);
	return got;
}

int
testfs_truncate(const char *name, uint64_t size)
{
	struct path p;
	struct inode *ip = testfs_inode(name, &p);

	if (!ip)
		return -ENOENT;
	mutex_lock(&ip->lock);
	int err = inode_truncate(ip, size);
	mutex_unlock(&ip->lock);
	path_put(&p);
	return err;
}

int
testfs_fsync(const char *name)
{
	struct path p;
	struct inode *ip = testfs_inode(name, &p);
	int err = ip ? inode_sync(ip, false) : -ENOENT;

	if (ip)
		path_put(&p);
	return err;
}
