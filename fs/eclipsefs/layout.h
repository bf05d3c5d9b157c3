/* layout.h - what is right and wrong on an EclipseFS disk: pure functions on blocks in memory.  (lab 8)
 *
 * Idea.       The rules of FORMAT.md as functions without I/O, allocation or state, so the kernel, mkfs and
 *             fsck cannot disagree about them. A check returns NULL when all is well, else words for the
 *             message.
 */
#ifndef ECLIPSEFS_LAYOUT_H
#define ECLIPSEFS_LAYOUT_H

#include <stdbool.h>

#include "fs/eclipsefs/format.h"

/* st_mode's file types, as Linux has them (the host's may have other names for the same numbers) */
#define EFS_IFMT  0170000u
#define EFS_IFIFO 0010000u
#define EFS_IFCHR 0020000u
#define EFS_IFDIR 0040000u
#define EFS_IFBLK 0060000u
#define EFS_IFREG 0100000u
#define EFS_IFLNK 0120000u
#define EFS_IFSOCK 0140000u

static inline uint64_t
efs_div_up(uint64_t n, uint64_t d)
{
	return n / d + (n % d != 0);
}

/* Blocks that `size` bytes take. */
static inline uint64_t
efs_size_blocks(uint64_t size)
{
	return (size >> EFS_BLOCK_BITS) + ((size & (EFS_BLOCK - 1)) != 0);
}

/* Block of the inode table with inode `ino`, and its slot there. Requires: ino > 0. */
static inline uint64_t
efs_inode_block_of(const struct efs_super *sb, uint32_t ino)
{
	return sb->itable_start + (ino - 1) / EFS_INODES_PER_BLOCK;
}

static inline uint32_t
efs_inode_slot_of(uint32_t ino)
{
	return (ino - 1) % EFS_INODES_PER_BLOCK;
}

uint32_t efs_header_crc(const struct efs_header *h);
uint32_t efs_name_hash(const void *name, size_t len);
bool efs_name_ok(const void *name, size_t len);

void efs_super_seal(struct efs_super *sb);
uint32_t efs_super_image_crc(const struct efs_super *sb);
const char *efs_super_check(const struct efs_super *sb, uint64_t device_blocks);

void efs_mb_init(void *block, uint32_t magic, uint64_t number, uint32_t fsid, uint32_t owner);
void efs_mb_head(void *block, uint32_t magic, uint64_t number, uint32_t fsid, uint32_t owner);
void efs_mb_seal(void *block);
void efs_mb_seal_short(void *block, uint32_t used);
uint32_t efs_mb_image_crc(const void *block);
const char *efs_mb_check(const void *block, uint32_t magic, uint64_t number, uint32_t fsid, uint32_t owner);

bool efs_imap_block_used(const struct efs_bitmap *map, uint32_t bit);
const char *efs_inode_check(const struct efs_super *sb, const struct efs_inode *di);
const char *efs_extents_check(const struct efs_super *sb, const struct efs_extent *e, unsigned count,
    unsigned level, uint64_t lo, uint64_t hi);
int efs_extent_search(const struct efs_extent *e, unsigned count, uint32_t logical);

struct efs_dirent *efs_dirent_next(void *block, uint32_t *off);
const char *efs_dir_check(const void *block);

#endif
