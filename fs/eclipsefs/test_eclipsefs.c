/* test_eclipsefs.c - tests of lab 8 inside the kernel, on a disk in memory made for each.       (lab 8) */
#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/efs.h"

#include "fs/vfs/mountcall.h"
#include "fs/vfs/names.h"
#include "fs/vfs/pagewrite.h"
#include "fs/vfs/super.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define DIR     "/tmp/efstest"
#define BLOCKS  768u
#define INODES  600u
#define MAP     EFS_FIRST_AREA
#define IMAP    (MAP + 1)
#define TABLE   (IMAP + 1)
#define NTABLE  (INODES / EFS_INODES_PER_BLOCK)
#define DATA    (TABLE + NTABLE)

/* ---- the disk ---- */

static uint8_t *memory;
static int fail_after;		/* requests until the disk fails; 0: never */

static void
ram_submit(struct blockdev *d, struct bio *b)
{
	uint64_t at = b->disk_sector * SECTOR_SIZE;

	(void)d;
	if (fail_after && --fail_after == 0) {
		fail_after = 1;
		bio_complete(b, -EIO);
		return;
	}
	for (uint32_t i = 0; i < b->nvec; at += b->vec[i++].len) {
		void *ram = memory + at, *page = P2V(b->vec[i].phys);
		b->op == BIO_READ ? memcpy(page, ram, b->vec[i].len) : memcpy(ram, page, b->vec[i].len);
	}
	bio_complete(b, 0);
}

static const struct blockdev_ops ram_ops = { .submit = ram_submit };
static struct blockdev ram = {
	.name = "efstest", .devno = 0xff00, .nsectors = BLOCKS * 8, .max_vec = 64, .max_sectors = 2048,
	.has_flush = true, .ops = &ram_ops, .disk = &ram,
};

static void *
block_at(uint64_t n)
{
	return memory + n * EFS_BLOCK;
}

static void
map_make(uint64_t block, uint32_t magic, uint32_t total, uint32_t used, uint32_t fsid)
{
	struct efs_bitmap *map = block_at(block);

	efs_mb_init(map, magic, block, fsid, 0);
	for (uint32_t i = 0; i < EFS_MAP_BITS; i++)
		if (i < used || i >= total)
			map->bits[i / 64] |= 1ul << i % 64;
	efs_mb_seal(map);
}

/* An empty 3.0 file system. */
static void
format(void)
{
	struct efs_super *sb = block_at(EFS_SUPER_BLOCK);
	struct efs_inode_block *ib = block_at(TABLE);

	memset(memory, 0, BLOCKS * EFS_BLOCK);
	memcpy(sb->h.magic, EFS_MAGIC, EFS_MAGIC_LEN);
	sb->h.version = EFS_VERSION_3;
	sb->h.total_inodes = INODES;
	sb->h.inode_table_offset = TABLE * EFS_BLOCK;
	sb->h.inode_table_size = NTABLE * EFS_BLOCK;
	sb->block_size = EFS_BLOCK;
	sb->fsid = crc32c(0, sb->uuid, sizeof(sb->uuid));
	sb->blocks = BLOCKS;
	sb->bmap_start = MAP, sb->bmap_blocks = 1;
	sb->imap_start = IMAP, sb->imap_blocks = 1;
	sb->itable_start = TABLE, sb->itable_blocks = NTABLE;
	sb->data_start = DATA;
	sb->state = EFS_CLEAN;
	sb->free_blocks = BLOCKS - DATA;
	sb->free_inodes = INODES - 1;
	map_make(MAP, EFS_MB_BMAP, BLOCKS, DATA, sb->fsid);
	map_make(IMAP, EFS_MB_IMAP, INODES, 1, sb->fsid);
	efs_mb_init(ib, EFS_MB_INODES, TABLE, sb->fsid, 0);
	ib->inodes[0] = (struct efs_inode){ .mode = S_IFDIR | 0755, .nlink = 2, .parent = EFS_ROOT_INO };
	efs_mb_seal(ib);
	efs_super_seal(sb);
}

static int
attach(unsigned long flags)
{
	struct path at;
	struct mount *m;
	int err = path_lookup(AT_FDCWD, DIR, WALK_FOLLOW, &at);

	if (err)
		return err;
	err = mount_new(fs_find("eclipsefs"), &ram, &at, flags, NULL, "efstest", &m);
	path_put(&at);
	if (!err)
		mount_put(m);
	return err;
}

static void
detach(void)
{
	struct path p;

	CHECK_EQ(path_lookup(AT_FDCWD, DIR, WALK_FOLLOW, &p), 0);
	dentry_put(p.dentry);
	CHECK_EQ(mount_detach(p.mnt, false), 0);
	mount_put(p.mnt);
}

static void
begin(void)
{
	vfs_create(AT_FDCWD, "/tmp", S_IFDIR | 0777, 0, NULL);
	int err = vfs_create(AT_FDCWD, DIR, S_IFDIR | 0755, 0, NULL);
	CHECK(err == 0 || err == -EEXIST);               /* the run before was cut off, and the root is a disk */
	memory = kmalloc(BLOCKS * EFS_BLOCK);
	fail_after = 0;
	CHECK(memory);
}

static void
end(void)
{
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR, true), 0);
	kfree(memory);
	memory = NULL;
}

static struct inode *
inode_of_path(const char *name, struct path *p)
{
	return path_lookup(AT_FDCWD, name, 0, p) ? NULL : p->dentry->inode;
}

static long
write_at(const char *name, uint64_t off, const void *buf, size_t n)
{
	struct path p;
	struct inode *ip = inode_of_path(name, &p);

	if (!ip)
		return -ENOENT;
	mutex_lock(&ip->lock);
	long got = pagecache_write(ip, off, buf, n);
	mutex_unlock(&ip->lock);
	path_put(&p);
	return got;
}

static long
read_at(const char *name, uint64_t off, void *buf, size_t n)
{
	struct path p;
	struct inode *ip = inode_of_path(name, &p);
	long got = ip ? pagecache_read(ip, off, buf, n) : -ENOENT;

	if (ip)
		path_put(&p);
	return got;
}

static int
truncate_to(const char *name, uint64_t size)
{
	struct path p;
	struct inode *ip = inode_of_path(name, &p);

	if (!ip)
		return -ENOENT;
	mutex_lock(&ip->lock);
	int err = inode_truncate(ip, size);
	mutex_unlock(&ip->lock);
	path_put(&p);
	return err;
}

static int
make(const char *name, uint32_t type)
{
	return vfs_create(AT_FDCWD, name, type | 0644, 0, NULL);
}

static uint64_t
free_blocks(void)
{
	return ((struct efs_super *)block_at(EFS_SUPER_BLOCK))->free_blocks;
}

/* ---- tests ---- */

KTEST(8, efs_checksums)
{
	CHECK_EQ(crc32c(0, "123456789", 9), 0xE3069283);
	CHECK_EQ(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
	CHECK_EQ(crc32_ieee(0, "123456789", 9), 0xCBF43926);
	struct efs_header h = {
		.version = EFS_VERSION_2, .inode_table_offset = 4096, .inode_table_size = 40, .total_inodes = 5,
		.creation_time = 1640995200, .last_check = 1640995200,
	};
	memcpy(h.magic, EFS_MAGIC, EFS_MAGIC_LEN);
	CHECK_EQ(efs_header_crc(&h), 0x30F95B54);
	CHECK_EQ(efs_name_hash("", 0), 0x811C9DC5);
	CHECK_EQ(efs_name_hash("a", 1), 0xE40C292C);
}

KTEST(8, efs_files)
{
	char *buf = kmalloc(20000), *back = kmalloc(20000);

	begin();
	format();
	CHECK_EQ(attach(0), 0);
	for (int i = 0; i < 20000; i++)
		buf[i] = i * 11 >> 2;
	CHECK_EQ(make(DIR "/f", S_IFREG), 0);
	CHECK_EQ(write_at(DIR "/f", 5000, buf, 20000), 20000);
	CHECK_EQ(write_at(DIR "/f", 5ul << 30, buf, 100), 100);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR "/s", S_IFLNK | 0777, 0, "f"), 0);
	CHECK_EQ(vfs_link(AT_FDCWD, DIR "/f", AT_FDCWD, DIR "/g", 0), 0);
	CHECK_EQ(make(DIR "/d", S_IFDIR), 0);
	CHECK_EQ(vfs_rename(AT_FDCWD, DIR "/f", AT_FDCWD, DIR "/d/h", 0), 0);
	detach();
	CHECK_EQ(((struct efs_super *)memory)->state, EFS_CLEAN);
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(((struct efs_super *)memory)->state, 0);
	memset(back, 1, 20000);
	CHECK_EQ(read_at(DIR "/g", 5000, back, 20000), 20000);
	CHECK(!memcmp(buf, back, 20000));
	CHECK_EQ(read_at(DIR "/d/h", 5ul << 30, back, 200), 100);
	CHECK(!memcmp(buf, back, 100));
	CHECK_EQ(read_at(DIR "/g", 1ul << 30, back, 100), 100);
	CHECK_EQ(back[0] | back[99], 0);
	CHECK_EQ(truncate_to(DIR "/g", 5001), 0);
	CHECK_EQ(truncate_to(DIR "/g", 6000), 0);
	CHECK_EQ(read_at(DIR "/g", 5000, back, 2000), 1000);
	CHECK(back[0] == buf[0] && back[1] == 0 && back[999] == 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/g", false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/s", false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), -ENOTEMPTY);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d/h", false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), 0);
	detach();
	CHECK_EQ(free_blocks(), BLOCKS - DATA - 1);      /* the root's first block stays */
	end();
	kfree(buf);
	kfree(back);
}

/* Names of one file straight through the directory's operations: nothing of them stays in the VFS's
 * caches. */
static int
link_names(const char *form, int first, int count, int step, bool add)
{
	struct path d, p;
	struct inode *dir = inode_of_path(DIR "/d", &d), *ip = inode_of_path(DIR "/f", &p), *found;
	char name[64];
	int err = dir && ip ? 0 : -ENOENT;

	mutex_lock(&dir->sb->ns);
	for (int i = first; i < count && !err; i += step) {
		size_t len = snprintf(name, sizeof(name), form, i);
		if (add) {
			err = dir->dops->link(dir, name, len, ip);
			continue;
		}
		err = dir->dops->lookup(dir, name, len, &found);
		if (!err) {
			err = found == ip ? dir->dops->unlink(dir, name, len, ip) : -EINVAL;
			inode_put(found);
		}
	}
	mutex_unlock(&dir->sb->ns);
	path_put(&d);
	path_put(&p);
	return err;
}

KTEST(8, efs_directory)
{
	uint64_t before;

	begin();
	format();
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(make(DIR "/f", S_IFREG), 0);
	CHECK_EQ(make(DIR "/d", S_IFDIR), 0);
	CHECK_EQ(link_names("name-%d", 0, 3000, 1, true), 0);
	detach();
	before = free_blocks();
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(link_names("name-%d", 1, 3000, 2, false), 0);
	CHECK_EQ(link_names("name-%d", 1, 3000, 2, false), -ENOENT);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), -ENOTEMPTY);
	CHECK_EQ(link_names("nome-%d", 1, 3000, 2, true), 0);
	CHECK_EQ(link_names("name-%d", 0, 3000, 2, false), 0);
	CHECK_EQ(free_blocks(), before);                 /* freed records were used again */
	CHECK_EQ(link_names("nome-%d", 1, 3000, 2, false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/f", false), 0);
	detach();
	CHECK_EQ(free_blocks(), BLOCKS - DATA - 1);
	end();
}

KTEST(8, efs_full)
{
	char *buf = kzalloc(PAGE_SIZE);
	uint64_t at = 0;
	long got;

	begin();
	format();
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(make(DIR "/f", S_IFREG), 0);
	while ((got = write_at(DIR "/f", at, buf, PAGE_SIZE)) > 0)
		at += got;
	CHECK_EQ(got, -ENOSPC);
	CHECK(at > (BLOCKS - DATA - 40) * PAGE_SIZE);
	CHECK_EQ(vfs_sync_all(true), 0);                 /* what was promised is found */
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/f", false), 0);
	CHECK_EQ(make(DIR "/g", S_IFREG), 0);
	CHECK_EQ(write_at(DIR "/g", 0, buf, PAGE_SIZE), PAGE_SIZE);
	detach();
	CHECK_EQ(free_blocks(), BLOCKS - DATA - 2);
	end();
	kfree(buf);
}

KTEST(8, efs_damage)
{
	char c;

	begin();
	format();
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(make(DIR "/a", S_IFREG), 0);
	CHECK_EQ(write_at(DIR "/a", 0, "x", 1), 1);
	detach();
	((struct efs_inode_block *)block_at(TABLE))->inodes[1].mode ^= 1;
	CHECK_EQ(attach(0), -EIO);                       /* the root's own block: no mount */
	((struct efs_inode_block *)block_at(TABLE))->inodes[1].mode ^= 1;
	struct efs_dirent *de = (struct efs_dirent *)((uint8_t *)block_at(DATA) + EFS_DIR_FIRST);
	de->name[0] = 'b';
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(read_at(DIR "/b", 0, &c, 1), -ENOENT);  /* read_at: no such path, for whatever reason */
	CHECK_EQ(make(DIR "/c", S_IFREG), -EIO);
	detach();
	CHECK_EQ(((struct efs_super *)memory)->state & EFS_ERRORS, EFS_ERRORS);
	format();
	((struct efs_super *)memory)->blocks = 1 << 20;
	efs_super_seal((struct efs_super *)memory);
	CHECK_EQ(attach(0), -EINVAL);
	memset(memory, 0, EFS_BLOCK);
	CHECK_EQ(attach(0), -EINVAL);
	format();
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(make(DIR "/a", S_IFREG), 0);
	fail_after = 1;
	CHECK_EQ(vfs_sync_all(true), -EIO);
	fail_after = 0;
	CHECK_EQ(vfs_sync_all(true), 0);
	detach();
	end();
}

/* A 2.0 image by hand: the root with one file, whose record crosses a block. */
static void
format_v2(void)
{
	struct efs_header *h = (struct efs_header *)memory;
	uint8_t *p = memory + EFS_BLOCK + 16;
	const uint32_t ndata = 3 * EFS_BLOCK;

	memset(memory, 0, BLOCKS * EFS_BLOCK);
	memcpy(h->magic, EFS_MAGIC, EFS_MAGIC_LEN);
	h->version = EFS_VERSION_2;
	h->inode_table_offset = EFS_BLOCK;
	h->inode_table_size = 16;
	h->total_inodes = 2;
	const struct { uint32_t ino, rel; } table[2] = { { 1, 0 }, { 2, 32 } };
	memcpy(memory + EFS_BLOCK, table, sizeof(table));
	const struct EFS_PACKED {
		struct efs2_node n;
		struct efs2_tlv t0;
		uint8_t type;
		struct efs2_tlv t1;
		struct efs2_dirent de;
		char name[3];
	} root = { { 1, 32 }, { EFS2_TYPE, 1 }, EFS2_DIR, { EFS2_ENTRIES, 11 }, { 3, 2 }, "abc" };
	_Static_assert(sizeof(root) == 32, "2.0 root record");
	memcpy(p, &root, sizeof(root));
	const struct EFS_PACKED { struct efs2_node n; struct efs2_tlv t; } file = {
		{ 2, 14 + ndata }, { EFS2_CONTENT, ndata },
	};
	memcpy(p + 32, &file, sizeof(file));
	for (uint32_t i = 0; i < ndata; i++)
		p[32 + 14 + i] = i >> 4;
}

KTEST(8, efs_version2)
{
	uint8_t *back = kmalloc(4 * EFS_BLOCK);

	begin();
	format_v2();
	CHECK_EQ(attach(0), 0);
	CHECK_EQ(read_at(DIR "/abc", 0, back, 4 * EFS_BLOCK), 3 * EFS_BLOCK);
	for (uint32_t i = 0; i < 3 * EFS_BLOCK; i++)
		if (back[i] != (uint8_t)(i >> 4)) {
			CHECK_EQ(back[i], (uint8_t)(i >> 4));
			break;
		}
	CHECK_EQ(make(DIR "/x", S_IFREG), -EROFS);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/abc", false), -EROFS);
	detach();
	((struct efs_header *)memory)->version = 0x00020001;
	CHECK_EQ(attach(0), -EINVAL);
	end();
	kfree(back);
}
