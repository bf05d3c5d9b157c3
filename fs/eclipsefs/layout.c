/* layout.c - what is right and wrong on an EclipseFS disk: pure functions on blocks in memory.  (lab 8)
 *
 * Idea.       See layout.h. Everything from a disk is hostile: these checks make it safe to follow.
 * Interface.  efs_*_check() return NULL or what is wrong; efs_*_seal() set checksums; the rest are small
 *             helpers.
 * Invariants. I1 no check reads beyond the block it is given, whatever is in it.
 *             I2 after efs_dir_check() said NULL, efs_dirent_next() walks the block without further checks.
 * Locks.      None; the caller owns the memory.
 */
#include "fs/eclipsefs/layout.h"

#include "fs/eclipsefs/crc.h"

/* CRC-32 over the header's fields but the three checksums. */
uint32_t
efs_header_crc(const struct efs_header *h)
{
	uint32_t crc = crc32_ieee(0, h, offsetof(struct efs_header, header_checksum));
	return crc32_ieee(crc, &h->creation_time, sizeof(*h) - offsetof(struct efs_header, creation_time));
}

/* FNV-1a, 32 bits. */
uint32_t
efs_name_hash(const void *name, size_t len)
{
	const uint8_t *p = name;
	uint32_t h = 0x811C9DC5u;
	while (len-- > 0)
		h = (h ^ *p++) * 0x01000193u;
	return h;
}

/* Whether `name` may be in a directory: 1..255 bytes, no NUL, no '/', not "." or "..". */
bool
efs_name_ok(const void *name, size_t len)
{
	const uint8_t *p = name;
	if (len == 0 || len > EFS_NAME_MAX)
		return false;
	if (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.')))
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] == 0 || p[i] == '/')
			return false;
	return true;
}

/* The superblock's checksum counts what follows it, too: over data and then their own CRC, the journal's
 * checksum of a superblock image would be the same for every superblock. */
static uint32_t
super_crc(const struct efs_super *sb)
{
	static const uint8_t zero[sizeof(sb->crc)];
	uint32_t crc = crc32c(0, sb, offsetof(struct efs_super, crc));
	crc = crc32c(crc, zero, sizeof(zero));
	return crc32c(crc, sb->zero2, sizeof(sb->zero2));
}

/* Set both checksums of the superblock. Done last before it is written. */
void
efs_super_seal(struct efs_super *sb)
{
	sb->h.header_checksum = efs_header_crc(&sb->h);
	sb->crc = super_crc(sb);
}

/* CRC-32C of all bytes of a sealed superblock. */
uint32_t
efs_super_image_crc(const struct efs_super *sb)
{
	return crc32c_insert(sb->crc, sb->crc, sizeof(sb->zero2));
}

struct area { uint64_t start, blocks; };

/* The four areas: each inside EFS_FIRST_AREA..data_start-1, none overlapping. */
static const char *
areas_check(const struct efs_super *sb)
{
	const struct area a[4] = {
		{ sb->bmap_start, sb->bmap_blocks }, { sb->imap_start, sb->imap_blocks },
		{ sb->itable_start, sb->itable_blocks }, { sb->journal_start, sb->journal_blocks },
	};
	for (int i = 0; i < 4; i++) {
		if (a[i].blocks == 0)
			continue;
		if (a[i].start < EFS_FIRST_AREA || a[i].start > sb->data_start || a[i].blocks > sb->data_start - a[i].start)
			return "an area lies outside its place";
		for (int j = 0; j < i; j++)
			if (a[j].blocks && a[i].start < a[j].start + a[j].blocks && a[j].start < a[i].start + a[i].blocks)
				return "two areas overlap";
	}
	return NULL;
}

/* Everything in a 3.0 superblock that can be checked by itself, on a device of `device_blocks` blocks.
 * The magic and version have been seen to be right by the caller (they decide which format this is). */
const char *
efs_super_check(const struct efs_super *sb, uint64_t device_blocks)
{
	if (sb->crc != super_crc(sb))
		return "bad superblock checksum";
	if (sb->h.header_checksum != efs_header_crc(&sb->h))
		return "bad header checksum";
	if (sb->incompat & ~EFS_INCOMPAT_KNOWN)
		return "made by a newer version (unknown feature)";
	if (sb->block_size != EFS_BLOCK)
		return "block size is not 4096";
	if (sb->fsid != crc32c(0, sb->uuid, sizeof(sb->uuid)))
		return "fsid does not belong to uuid";
	if (sb->blocks < EFS_MIN_BLOCKS || sb->blocks > 1ull << 52)
		return "impossible size";
	if (sb->blocks > device_blocks)
		return "larger than the device";
	if (sb->data_start < EFS_FIRST_AREA || sb->data_start >= sb->blocks)
		return "data area lies outside";
	if (sb->h.total_inodes == 0 || sb->h.total_inodes == UINT32_MAX)
		return "impossible number of inodes";
	if (sb->bmap_blocks != efs_div_up(sb->blocks, EFS_MAP_BITS)
	    || sb->imap_blocks != efs_div_up(sb->h.total_inodes, EFS_MAP_BITS)
	    || sb->itable_blocks != efs_div_up(sb->h.total_inodes, EFS_INODES_PER_BLOCK))
		return "an area has the wrong size";
	if (sb->journal_blocks != 0 && (sb->journal_blocks < EFS_JOURNAL_MIN || sb->journal_blocks > UINT32_MAX))
		return "journal has an impossible size";
	if (sb->h.inode_table_offset != sb->itable_start * EFS_BLOCK
	    || sb->h.inode_table_size != sb->itable_blocks * EFS_BLOCK)
		return "header and superblock disagree about the inode table";
	if (sb->orphans > sb->h.total_inodes)
		return "orphan list starts outside";
	return areas_check(sb);
}

/* Make the head of a fresh metadata block; the rest of the block becomes zero. */
void
efs_mb_init(void *block, uint32_t magic, uint64_t number, uint32_t fsid, uint32_t owner)
{
	__builtin_memset(block, 0, EFS_BLOCK);
	efs_mb_head(block, magic, number, fsid, owner);
}

/* Only its head. */
void
efs_mb_head(void *block, uint32_t magic, uint64_t number, uint32_t fsid, uint32_t owner)
{
	*(struct efs_mb *)block = (struct efs_mb){ .magic = magic, .block = number, .fsid = fsid, .owner = owner };
}

/* The checksum of a block of which all after the first `used` bytes is zero. */
static uint32_t
mb_crc(const void *block, uint32_t used)
{
	struct efs_mb head = *(const struct efs_mb *)block;
	uint32_t end = (used + 511) & ~511u;

	head.crc = 0;
	uint32_t crc = crc32c(0, &head, sizeof(head));
	crc = crc32c(crc, (const uint8_t *)block + sizeof(head), end - sizeof(head));
	return end < EFS_BLOCK ? crc32c_zeros(crc, EFS_BLOCK - end) : crc;
}

/* Set the checksum of a metadata block. Done last before it is written. */
void
efs_mb_seal(void *block)
{
	efs_mb_seal_short(block, EFS_BLOCK);
}

/* The same, when all after the first `used` bytes is known to be zero. Requires: used > 0. */
void
efs_mb_seal_short(void *block, uint32_t used)
{
	((struct efs_mb *)block)->crc = mb_crc(block, used);
}

/* CRC-32C of all bytes of a sealed block, the checksum in its head, too: only that has to be counted in. */
uint32_t
efs_mb_image_crc(const void *block)
{
	uint32_t crc = ((const struct efs_mb *)block)->crc;

	return crc32c_insert(crc, crc, EFS_BLOCK - offsetof(struct efs_mb, crc) - sizeof(crc));
}

/* Whether `block` is what belongs in block `number`: the right kind, place, file system, owner, and
 * undamaged. */
const char *
efs_mb_check(const void *block, uint32_t magic, uint64_t number, uint32_t fsid, uint32_t owner)
{
	const struct efs_mb *mb = block;
	if (mb->magic != magic)
		return "wrong kind of block";
	if (mb->crc != mb_crc(block, EFS_BLOCK))
		return "bad checksum";
	if (mb->block != number)
		return "block from another place";
	if (mb->fsid != fsid)
		return "block of another file system";
	if (mb->owner != owner)
		return "block of another inode";
	return NULL;
}

/* Whether any inode in the inode-table block of the inode with bit `bit` (in this map block) is in use. If
 * none is, that table block has never been written or means nothing any more. */
bool
efs_imap_block_used(const struct efs_bitmap *map, uint32_t bit)
{
	uint32_t first = bit - bit % EFS_INODES_PER_BLOCK;
	uint32_t word;
	__builtin_memcpy(&word, (const uint8_t *)map->bits + first / 8, sizeof(word));
	return (word >> first % 8 & 0x7fff) != 0;
}

/* The shape that each type of inode must have. */
static const char *
inode_type_check(const struct efs_inode *di)
{
	switch (di->mode & EFS_IFMT) {
	case EFS_IFREG:
		return di->size > EFS_MAX_SIZE ? "file too large" : NULL;
	case EFS_IFDIR:
		return di->size > EFS_MAX_SIZE || di->size % EFS_BLOCK ? "impossible directory size" : NULL;
	case EFS_IFLNK:
		if (di->size == 0 || di->size > EFS_LINK_MAX)
			return "impossible symlink size";
		return (di->flags & EFS_INODE_INLINE) && di->size > EFS_INLINE_MAX ? "inline target too long" : NULL;
	case EFS_IFCHR: case EFS_IFBLK: case EFS_IFIFO: case EFS_IFSOCK:
		return di->size || di->count ? "special file with content" : NULL;
	default:
		return "unknown file type";
	}
}

/* Everything in an inode in use that can be checked by itself. */
const char *
efs_inode_check(const struct efs_super *sb, const struct efs_inode *di)
{
	const char *wrong = inode_type_check(di);
	if (wrong)
		return wrong;
	if (di->mode > 0177777)
		return "impossible mode";
	if (di->atime_ns > 999999999 || di->mtime_ns > 999999999 || di->ctime_ns > 999999999
	    || di->btime_ns > 999999999)
		return "impossible nanoseconds";
	if (di->next_orphan > sb->h.total_inodes)
		return "orphan list leads outside";
	if (di->flags & EFS_INODE_INLINE)
		return (di->mode & EFS_IFMT) != EFS_IFLNK || di->count ? "inline data where none may be" : NULL;
	if (di->level > EFS_MAX_LEVEL || di->count > EFS_INODE_EXTENTS || (di->level > 0 && di->count == 0))
		return "impossible extent tree";
	return efs_extents_check(sb, di->extents, di->count, di->level, 0, efs_size_blocks(di->size));
}

/* Check the entries of one extent node, which holds the part [lo, hi) of the file. */
const char *
efs_extents_check(const struct efs_super *sb, const struct efs_extent *e, unsigned count, unsigned level,
    uint64_t lo, uint64_t hi)
{
	for (unsigned i = 0; i < count; i++, e++) {
		uint64_t len = level ? 1 : e->len;
		if (level ? e->len != 0 : e->len == 0)
			return "extent with an impossible length";
		if (e->logical < lo || e->logical + len > hi)
			return "extent out of order or beyond the end of the file";
		if (e->block < sb->data_start || e->block >= sb->blocks || len > sb->blocks - e->block)
			return "extent outside the data area";
		lo = e->logical + len;
	}
	return NULL;
}

/* Index of the last entry with .logical <= `logical`, or -1. Entries are sorted. */
int
efs_extent_search(const struct efs_extent *e, unsigned count, uint32_t logical)
{
	unsigned lo = 0, hi = count;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (e[mid].logical <= logical)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (int)lo - 1;
}

/* The record at `*off` of a directory block, and move `*off` behind it; NULL at the end. Start with
 * *off = EFS_DIR_FIRST. Requires: efs_dir_check() found the block right. */
struct efs_dirent *
efs_dirent_next(void *block, uint32_t *off)
{
	if (*off >= EFS_BLOCK)
		return NULL;
	struct efs_dirent *de = (struct efs_dirent *)((uint8_t *)block + *off);
	*off += de->reclen;
	return de;
}

/* Whether the records of a directory block fill it exactly and are right one by one. Hashes are not
 * compared. */
const char *
efs_dir_check(const void *block)
{
	const uint8_t *p = block;
	for (uint32_t off = EFS_DIR_FIRST; off < EFS_BLOCK;) {
		const struct efs_dirent *de = (const struct efs_dirent *)(p + off);
		if (EFS_BLOCK - off < EFS_DIRENT_MIN || de->reclen < EFS_DIRENT_MIN || de->reclen % 4
		    || de->reclen > EFS_BLOCK - off)
			return "directory record with an impossible length";
		if (de->ino && (12u + de->namelen > de->reclen || !efs_name_ok(de->name, de->namelen)))
			return "directory record with an impossible name";
		off += de->reclen;
	}
	return NULL;
}
