/* test_eclipsefs.c - tests of lab 8 inside the kernel, on a disk in memory made for each.       (lab 8) */
#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/test_disk.h"

#include "fs/vfs/names.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define DIR    TESTFS_DIR
#define BLOCKS 768u

/* ---- tests ---- */

/* The short cuts past zeros come to the same as going byte by byte. */
static void
check_zeros(void)
{
	char *m = kzalloc(3 * 4096);
	uint32_t slow = 0;

	CHECK(m);
	for (int at = 5; m && at < 9000; at += at < 6000 ? 1700 : 300)
		m[at] = at % 251 + 1;
	for (int i = 0; m && i < 3 * 4096; i++)
		slow = crc32c(slow, m + i, 1);
	CHECK_EQ(crc32c(0, m, 3 * 4096), slow);
	for (uint32_t n = 0; m && n <= 9000; n += n < 9 ? 1 : 511) {
		uint32_t before = crc32c(0, "1234", 4), after = crc32c(0, "1234\0\0\0\0", 8);
		memset(m, 0, n);
		CHECK_EQ(crc32c_zeros(before, n), crc32c(before, m, n));
		CHECK_EQ(crc32c_insert(crc32c(after, m, n), 0x64636261, n), crc32c(crc32c(0, "1234abcd", 8), m, n));
	}
	uint32_t block = crc32c_zeros(crc32c(crc32c_zeros(0, 4), "abcd", 4), 4088);
	CHECK_EQ(crc32c_insert(crc32c_zeros(0, 4096), 0x64636261, 4088), block);
	kfree(m);
}

KTEST(8, efs_checksums)
{
	CHECK_EQ(crc32c(0, "123456789", 9), 0xE3069283);
	CHECK_EQ(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
	check_zeros();
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

	testfs_begin(BLOCKS, 0);
	testfs_format();
	CHECK_EQ(testfs_attach(0), 0);
	for (int i = 0; i < 20000; i++)
		buf[i] = i * 11 >> 2;
	CHECK_EQ(testfs_make(DIR "/f", S_IFREG), 0);
	CHECK_EQ(testfs_write(DIR "/f", 5000, buf, 20000), 20000);
	CHECK_EQ(testfs_write(DIR "/f", 5ul << 30, buf, 100), 100);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR "/s", S_IFLNK | 0777, 0, "f"), 0);
	CHECK_EQ(vfs_link(AT_FDCWD, DIR "/f", AT_FDCWD, DIR "/g", 0), 0);
	CHECK_EQ(testfs_make(DIR "/d", S_IFDIR), 0);
	CHECK_EQ(vfs_rename(AT_FDCWD, DIR "/f", AT_FDCWD, DIR "/d/h", 0), 0);
	testfs_detach();
	CHECK_EQ(((struct efs_super *)testfs.memory)->state, EFS_CLEAN);
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(((struct efs_super *)testfs.memory)->state, 0);
	memset(back, 1, 20000);
	CHECK_EQ(testfs_read(DIR "/g", 5000, back, 20000), 20000);
	CHECK(!memcmp(buf, back, 20000));
	CHECK_EQ(testfs_read(DIR "/d/h", 5ul << 30, back, 200), 100);
	CHECK(!memcmp(buf, back, 100));
	CHECK_EQ(testfs_read(DIR "/g", 1ul << 30, back, 100), 100);
	CHECK_EQ(back[0] | back[99], 0);
	CHECK_EQ(testfs_truncate(DIR "/g", 5001), 0);
	CHECK_EQ(testfs_truncate(DIR "/g", 6000), 0);
	CHECK_EQ(testfs_read(DIR "/g", 5000, back, 2000), 1000);
	CHECK(back[0] == buf[0] && back[1] == 0 && back[999] == 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/g", false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/s", false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), -ENOTEMPTY);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d/h", false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), 0);
	testfs_detach();
	CHECK_EQ(testfs_free_blocks(), BLOCKS - testfs.data - 1);      /* the root's first block stays */
	testfs_end();
	kfree(buf);
	kfree(back);
}

/* Names of one file straight through the directory's operations: nothing of them stays in the VFS's
 * caches. */
static int
link_names(const char *form, int first, int count, int step, bool add)
{
	struct path d, p;
	struct inode *dir = testfs_inode(DIR "/d", &d), *ip = testfs_inode(DIR "/f", &p), *found;
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

	testfs_begin(BLOCKS, 0);
	testfs_format();
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(testfs_make(DIR "/f", S_IFREG), 0);
	CHECK_EQ(testfs_make(DIR "/d", S_IFDIR), 0);
	CHECK_EQ(link_names("name-%d", 0, 3000, 1, true), 0);
	testfs_detach();
	before = testfs_free_blocks();
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(link_names("name-%d", 1, 3000, 2, false), 0);
	CHECK_EQ(link_names("name-%d", 1, 3000, 2, false), -ENOENT);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), -ENOTEMPTY);
	CHECK_EQ(link_names("nome-%d", 1, 3000, 2, true), 0);
	CHECK_EQ(link_names("name-%d", 0, 3000, 2, false), 0);
	CHECK_EQ(testfs_free_blocks(), before);                 /* freed records were used again */
	CHECK_EQ(link_names("nome-%d", 1, 3000, 2, false), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/f", false), 0);
	testfs_detach();
	CHECK_EQ(testfs_free_blocks(), BLOCKS - testfs.data - 1);
	testfs_end();
}

KTEST(8, efs_full)
{
	char *buf = kzalloc(PAGE_SIZE);
	uint64_t at = 0;
	long got;

	testfs_begin(BLOCKS, 0);
	testfs_format();
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(testfs_make(DIR "/f", S_IFREG), 0);
	while ((got = testfs_write(DIR "/f", at, buf, PAGE_SIZE)) > 0)
		at += got;
	CHECK_EQ(got, -ENOSPC);
	CHECK(at > (BLOCKS - testfs.data - 40) * PAGE_SIZE);
	CHECK_EQ(vfs_sync_all(true), 0);                 /* what was promised is found */
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/f", false), 0);
	CHECK_EQ(testfs_make(DIR "/g", S_IFREG), 0);
	CHECK_EQ(testfs_write(DIR "/g", 0, buf, PAGE_SIZE), PAGE_SIZE);
	testfs_detach();
	CHECK_EQ(testfs_free_blocks(), BLOCKS - testfs.data - 2);
	testfs_end();
	kfree(buf);
}

KTEST(8, efs_damage)
{
	char c;

	testfs_begin(BLOCKS, 0);
	testfs_format();
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(testfs_make(DIR "/a", S_IFREG), 0);
	CHECK_EQ(testfs_write(DIR "/a", 0, "x", 1), 1);
	testfs_detach();
	((struct efs_inode_block *)testfs_block(testfs.table))->inodes[1].mode ^= 1;
	CHECK_EQ(testfs_attach(0), -EIO);                       /* the root's own block: no mount */
	((struct efs_inode_block *)testfs_block(testfs.table))->inodes[1].mode ^= 1;
	struct efs_dirent *de = (struct efs_dirent *)((uint8_t *)testfs_block(testfs.data) + EFS_DIR_FIRST);
	de->name[0] = 'b';
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(testfs_read(DIR "/b", 0, &c, 1), -ENOENT);  /* testfs_read: no such path, for whatever reason */
	CHECK_EQ(testfs_make(DIR "/c", S_IFREG), -EIO);
	testfs_detach();
	CHECK_EQ(((struct efs_super *)testfs.memory)->state & EFS_ERRORS, EFS_ERRORS);
	testfs_format();
	((struct efs_super *)testfs.memory)->blocks = 1 << 20;
	efs_super_seal((struct efs_super *)testfs.memory);
	CHECK_EQ(testfs_attach(0), -EINVAL);
	memset(testfs.memory, 0, EFS_BLOCK);
	CHECK_EQ(testfs_attach(0), -EINVAL);
	testfs_format();
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(testfs_make(DIR "/a", S_IFREG), 0);
	testfs.fail_after = 1;
	CHECK_EQ(vfs_sync_all(true), -EIO);
	testfs.fail_after = 0;
	CHECK_EQ(vfs_sync_all(true), 0);
	testfs_detach();
	testfs_end();
}

/* A 2.0 image by hand: the root with one file, whose record crosses a block. */
static void
format_v2(void)
{
	struct efs_header *h = (struct efs_header *)testfs.memory;
	uint8_t *p = testfs.memory + EFS_BLOCK + 16;
	const uint32_t ndata = 3 * EFS_BLOCK;

	memset(testfs.memory, 0, BLOCKS * EFS_BLOCK);
	memcpy(h->magic, EFS_MAGIC, EFS_MAGIC_LEN);
	h->version = EFS_VERSION_2;
	h->inode_table_offset = EFS_BLOCK;
	h->inode_table_size = 16;
	h->total_inodes = 2;
	const struct { uint32_t ino, rel; } table[2] = { { 1, 0 }, { 2, 32 } };
	memcpy(testfs.memory + EFS_BLOCK, table, sizeof(table));
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

	testfs_begin(BLOCKS, 0);
	format_v2();
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(testfs_read(DIR "/abc", 0, back, 4 * EFS_BLOCK), 3 * EFS_BLOCK);
	for (uint32_t i = 0; i < 3 * EFS_BLOCK; i++)
		if (back[i] != (uint8_t)(i >> 4)) {
			CHECK_EQ(back[i], (uint8_t)(i >> 4));
			break;
		}
	CHECK_EQ(testfs_make(DIR "/x", S_IFREG), -EROFS);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/abc", false), -EROFS);
	testfs_detach();
	((struct efs_header *)testfs.memory)->version = 0x00020001;
	CHECK_EQ(testfs_attach(0), -EINVAL);
	testfs_end();
	kfree(back);
}
