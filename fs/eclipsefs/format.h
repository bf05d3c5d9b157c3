/* format.h - EclipseFS on the disk: versions 2.0 (read) and 3.0 (ours).                        (lab 8)
 *
 * Idea.       What FORMAT.md says in words, this file says in C. The kernel, mkfs, fsck and the reader
 *             compile this very file, so there is one truth. 3.0 on the disk, in 4 KiB blocks:
 *
 *             0      1..14  15      16 ...
 *             +------+------+-------+---------+-----------+-----------+-------------+----------------+
 *             | super| zero | backup| journal | block map | inode map | inode table | data, directories,
 *             +------+------+-------+---------+-----------+-----------+-------------+  extent nodes ... |
 *
 * Interface.  Structures and numbers only; efs_* helpers on them are in layout.h.
 * Invariants. I1 every structure is little-endian and has no padding: packed where members are not aligned
 *             by nature, and its size is asserted here.
 *             I2 every metadata block but the two superblocks starts with struct efs_mb.
 *             I3 block number 0 is never pointed at; inode 0 is none; inode 1 is the root directory.
 * Locks.      None.
 */
#ifndef ECLIPSEFS_FORMAT_H
#define ECLIPSEFS_FORMAT_H

#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures are used in place: little-endian only");

#define EFS_PACKED __attribute__((packed))

/* ---- both versions: the header, the first 65 bytes ------------------------------------------- */

#define EFS_MAGIC      "ECLIPSEFS"	/* nine bytes, no NUL */
#define EFS_MAGIC_LEN  9
#define EFS_VERSION_2  0x00020000u
#define EFS_VERSION_3  0x00030000u
#define EFS_BLOCK      4096u
#define EFS_BLOCK_BITS 12
#define EFS_ROOT_INO   1u
#define EFS_NAME_MAX   255u
#define EFS_LINK_MAX   4096u		/* longest target of a symlink, in bytes */
#define EFS_NLINK_MAX  65000u

struct EFS_PACKED efs_header {
	uint8_t magic[EFS_MAGIC_LEN];
	uint32_t version;		/* major << 16 | minor */
	uint64_t inode_table_offset;	/* bytes from the start of the file system */
	uint64_t inode_table_size;	/* bytes */
	uint32_t total_inodes;
	uint32_t header_checksum;	/* CRC-32/IEEE, see efs_header_crc(); in 2.0 a 0 means absent */
	uint32_t metadata_checksum;	/* 0 */
	uint32_t data_checksum;		/* 0 */
	uint64_t creation_time;		/* Unix seconds */
	uint64_t last_check;		/* Unix seconds */
	uint32_t flags;			/* 0 */
};
_Static_assert(sizeof(struct efs_header) == 65, "header: 65 bytes");
_Static_assert(offsetof(struct efs_header, header_checksum) == 33, "header checksum at 33");
_Static_assert(offsetof(struct efs_header, flags) == 61, "flags at 61");

/* ---- 2.0: header, table, node records back to back ------------------------------------------- */

struct EFS_PACKED efs2_entry { uint32_t ino, rel_offset; };		/* 8-byte table variant */
struct EFS_PACKED efs2_entry16 { uint64_t ino, rel_offset; };		/* 16-byte table variant */
struct EFS_PACKED efs2_node { uint32_t ino, record_size; };		/* then TLVs */
struct EFS_PACKED efs2_tlv { uint16_t tag; uint32_t length; };		/* then the value */
struct EFS_PACKED efs2_dirent { uint32_t name_len, ino; };		/* then the name */
_Static_assert(sizeof(struct efs2_entry) == 8 && sizeof(struct efs2_entry16) == 16, "2.0 table entries");
_Static_assert(sizeof(struct efs2_tlv) == 6 && sizeof(struct efs2_node) == 8, "2.0 node parts");

enum efs2_tag {
	EFS2_TYPE = 1, EFS2_MODE, EFS2_UID, EFS2_GID, EFS2_SIZE, EFS2_ATIME, EFS2_MTIME, EFS2_CTIME, EFS2_NLINK,
	EFS2_CONTENT, EFS2_ENTRIES,
};
enum efs2_type { EFS2_FILE = 1, EFS2_DIR, EFS2_SYMLINK };

/* ---- 3.0: superblock -------------------------------------------------------------------------- */

#define EFS_SUPER_BLOCK  0u
#define EFS_BACKUP_BLOCK 15u
#define EFS_FIRST_AREA   16u		/* first block that an area may use */
#define EFS_MIN_BLOCKS   256u		/* smallest file system: 1 MiB */

enum efs_state { EFS_CLEAN = 1, EFS_ERRORS = 2 };	/* bits of efs_super.state */

/* Feature bits that 3.0 knows: none yet. An unknown incompat bit: do not mount. Unknown ro bit: read-only. */
#define EFS_INCOMPAT_KNOWN 0u
#define EFS_ROCOMPAT_KNOWN 0u

struct efs_super {
	struct efs_header h;		/* inode_table_offset/size are those of the inode table in bytes */
	uint8_t zero0[7];

	/* fixed when the file system is made */
	uint8_t uuid[16];		/*  72 */
	uint8_t label[32];		/*  88 NUL-padded */
	uint32_t block_size;		/* 120 4096 */
	uint32_t fsid;			/* 124 CRC-32C of uuid; in every metadata block */
	uint64_t blocks;		/* 128 size of the file system */
	uint64_t bmap_start, bmap_blocks;	/* 136 bitmap of blocks */
	uint64_t imap_start, imap_blocks;	/* 152 bitmap of inodes */
	uint64_t itable_start, itable_blocks;	/* 168 inode table */
	uint64_t journal_start, journal_blocks;	/* 184 journal area; 0, 0: none */
	uint64_t data_start;		/* 200 first block after all areas */
	uint32_t incompat, rocompat;	/* 208 feature bits */

	/* changing */
	uint32_t state;			/* 216 enum efs_state bits; EFS_CLEAN is off while mounted for writing */
	uint32_t orphans;		/* 220 first inode of the orphan list, or 0 */
	uint64_t free_blocks;		/* 224 exact when EFS_CLEAN, else recount */
	uint32_t free_inodes;		/* 232 likewise */
	uint32_t mounts;		/* 236 times mounted for writing */
	int64_t mount_time;		/* 240 Unix seconds */
	int64_t write_time;		/* 248 */
	uint64_t seq;			/* 256 sequence number of the last transaction that is home */
	uint8_t zero1[508 - 264];
	uint32_t crc;			/* 508 CRC-32C of the block with this as 0. No power cut tears its sector */
	uint8_t zero2[EFS_BLOCK - 512];
};
_Static_assert(sizeof(struct efs_super) == EFS_BLOCK, "the superblock is a block");
_Static_assert(offsetof(struct efs_super, uuid) == 72 && offsetof(struct efs_super, fsid) == 124, "super");
_Static_assert(offsetof(struct efs_super, incompat) == 208 && offsetof(struct efs_super, seq) == 256, "super");

/* ---- 3.0: the head of every metadata block ---------------------------------------------------- */

#define EFS_FOURCC(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define EFS_MB_BMAP   EFS_FOURCC('E', 'B', 'M', 'P')
#define EFS_MB_IMAP   EFS_FOURCC('E', 'I', 'M', 'P')
#define EFS_MB_INODES EFS_FOURCC('E', 'I', 'N', 'O')
#define EFS_MB_EXTENT EFS_FOURCC('E', 'E', 'X', 'T')
#define EFS_MB_DIR    EFS_FOURCC('E', 'D', 'I', 'R')
#define EFS_MB_JSUPER EFS_FOURCC('E', 'J', 'S', 'B')
#define EFS_MB_JDESC  EFS_FOURCC('E', 'J', 'D', 'S')
#define EFS_MB_JREVOKE EFS_FOURCC('E', 'J', 'R', 'V')
#define EFS_MB_JCOMMIT EFS_FOURCC('E', 'J', 'C', 'M')

struct efs_mb {
	uint32_t magic;			/* EFS_MB_*: what this block is */
	uint32_t crc;			/* CRC-32C of the whole block with this field as 0 */
	uint64_t block;			/* its own block number: a misplaced write shows */
	uint64_t seq;			/* transaction that wrote it last, 0 without a journal */
	uint32_t fsid;			/* superblock's: a block of an earlier file system shows */
	uint32_t owner;			/* inode a directory or extent block belongs to, else 0 */
};
_Static_assert(sizeof(struct efs_mb) == 32, "metadata block head: 32 bytes");

/* ---- 3.0: bitmaps ----------------------------------------------------------------------------- */

/* A multiple of 64 (words) and of 15 (so the inodes of one block lie in one bitmap block). */
#define EFS_MAP_BITS  31680u
#define EFS_MAP_WORDS (EFS_MAP_BITS / 64)

struct efs_bitmap {
	struct efs_mb mb;
	uint64_t bits[EFS_MAP_WORDS];	/* bit n of word w: thing 64*w+n of this block; 1 = in use */
	uint8_t zero[EFS_BLOCK - 32 - EFS_MAP_WORDS * 8];
};
_Static_assert(sizeof(struct efs_bitmap) == EFS_BLOCK && EFS_MAP_BITS % 15 == 0, "bitmap block");

/* ---- 3.0: inodes and extents ------------------------------------------------------------------ */

#define EFS_INODE_SIZE       256u
#define EFS_INODES_PER_BLOCK 15u
#define EFS_INODE_EXTENTS    9u
#define EFS_NODE_EXTENTS     253u
#define EFS_MAX_LEVEL        4u		/* deepest extent tree: inode at level 4, extents at level 0 */
#define EFS_INLINE_MAX       (EFS_INODE_EXTENTS * 16u)
#define EFS_MAX_SIZE         (0xffffffffull << EFS_BLOCK_BITS)	/* largest file: logical blocks are 32 bits */

/* At level 0: blocks [logical, logical+len) of the file are at [block, block+len). At level > 0: the node in
 * `block` holds what is at and after `logical`, up to the next entry; len is 0. */
struct efs_extent {
	uint32_t logical, len;
	uint64_t block;
};
_Static_assert(sizeof(struct efs_extent) == 16, "extent: 16 bytes");

enum efs_inode_flag { EFS_INODE_INLINE = 1 };	/* symlink target is in the inode */

struct efs_inode {
	uint32_t mode;			/*   0 st_mode; 0: free */
	uint32_t nlink;			/*   4 */
	uint32_t uid, gid;		/*   8 */
	uint64_t size;			/*  16 bytes */
	uint64_t blocks;		/*  24 blocks in use by the inode, data and extent nodes */
	int64_t atime, mtime, ctime, btime;			/*  32 Unix seconds */
	uint32_t atime_ns, mtime_ns, ctime_ns, btime_ns;	/*  64 0..999999999 */
	uint32_t generation;		/*  80 goes up each time the inode is made anew */
	uint32_t flags;			/*  84 enum efs_inode_flag */
	uint64_t rdev;			/*  88 devices: Linux's dev_t as stat gives it */
	uint32_t parent;		/*  96 directories: inode of "..", else 0 */
	uint32_t next_orphan;		/* 100 while on the orphan list */
	uint16_t level, count;		/* 104 of the extents below */
	uint32_t zero;			/* 108 */
	union {
		struct efs_extent extents[EFS_INODE_EXTENTS];	/* 112 sorted by logical */
		uint8_t inline_data[EFS_INLINE_MAX];
	};
};
_Static_assert(sizeof(struct efs_inode) == EFS_INODE_SIZE, "inode: 256 bytes");
_Static_assert(offsetof(struct efs_inode, generation) == 80, "inode");
_Static_assert(offsetof(struct efs_inode, extents) == 112, "inode");

struct efs_inode_block {
	struct efs_mb mb;
	uint8_t zero[EFS_INODE_SIZE - 32];
	struct efs_inode inodes[EFS_INODES_PER_BLOCK];
};
_Static_assert(sizeof(struct efs_inode_block) == EFS_BLOCK, "inode block");

struct efs_extent_node {
	struct efs_mb mb;
	uint16_t level, count;
	uint32_t zero0;
	uint64_t zero1;
	struct efs_extent extents[EFS_NODE_EXTENTS];
};
_Static_assert(sizeof(struct efs_extent_node) == EFS_BLOCK, "extent node");

/* ---- 3.0: directories ------------------------------------------------------------------------- */

/* Records fill a directory block from EFS_DIR_FIRST to its end without gaps. ino 0: free space. */
struct efs_dirent {
	uint32_t ino;
	uint32_t hash;			/* efs_name_hash(name), 0 when free */
	uint16_t reclen;		/* multiple of 4, at least EFS_DIRENT_MIN */
	uint8_t namelen;		/* 1..255; 0 when free */
	uint8_t type;			/* DT_*: st_mode >> 12 of the inode */
	uint8_t name[];			/* no NUL, not "." or "..", no '/' */
};
_Static_assert(sizeof(struct efs_dirent) == 12, "directory record head");

#define EFS_DIR_FIRST      32u
#define EFS_DIRENT_MIN     16u
#define EFS_DIRENT_SIZE(n) ((12u + (n) + 3u) & ~3u)

/* ---- 3.0: journal ----------------------------------------------------------------------------- */

#define EFS_JOURNAL_MIN 64u		/* blocks, when there is one */

struct efs_jsuper {		/* block 0 of the journal area; log blocks are 1..length-1, a ring */
	struct efs_mb mb;
	uint32_t length;		/* blocks of the area, this one included */
	uint32_t start;			/* where the oldest live transaction begins; 0: the log is empty */
	uint64_t seq;			/* its sequence number; when empty, the next one to be used */
	uint8_t zero[EFS_BLOCK - 48];
};
_Static_assert(sizeof(struct efs_jsuper) == EFS_BLOCK, "journal superblock");

struct efs_jtag {
	uint64_t block;			/* where this image belongs */
	uint32_t crc;			/* CRC-32C of the image's 4096 bytes */
	uint32_t zero;
};
#define EFS_JTAGS 253u

struct efs_jdesc {		/* then `count` images, in the order of the tags */
	struct efs_mb mb;		/* mb.seq: the transaction */
	uint32_t count, index;		/* index: 0 for the first control block of a transaction, 1, 2 ... */
	uint64_t zero;
	struct efs_jtag tags[EFS_JTAGS];
};
_Static_assert(sizeof(struct efs_jdesc) == EFS_BLOCK, "journal descriptor");

#define EFS_JREVOKES 506u
struct efs_jrevoke {		/* images of these blocks in earlier transactions are not replayed */
	struct efs_mb mb;
	uint32_t count, index;
	uint64_t zero;
	uint64_t blocks[EFS_JREVOKES];
};
_Static_assert(sizeof(struct efs_jrevoke) == EFS_BLOCK, "journal revoke block");

struct efs_jcommit {
	struct efs_mb mb;
	uint32_t controls;		/* descriptor and revoke blocks of this transaction */
	uint32_t images;		/* images of this transaction */
	uint32_t chain;			/* CRC-32C over mb.crc of its control blocks, in order */
	uint32_t time_ns;
	int64_t time;			/* Unix seconds */
	uint8_t zero[EFS_BLOCK - 56];
};
_Static_assert(sizeof(struct efs_jcommit) == EFS_BLOCK, "journal commit");

#endif
