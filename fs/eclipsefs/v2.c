/* v2.c - reading EclipseFS 2.0.                                                                (lab 8)
 *
 * Idea.       Header, table, node records, back to back, nothing aligned:
 *
 *                 header 4096 | ino,rel ino,rel ... | node node node ...
 *                                    |                ^
 *                                    +----------------+  table + table_size + rel
 *
 *             A node is tagged values (TLVs); contents and directory entries are one of them. Since
 *             anything may lie anywhere, all reading goes through a byte-addressed function of the caller's.
 * Interface.  efs2_open(), then efs2_node_get() by inode number and efs2_dirent_get() through a directory.
 * Invariants. I1 nothing outside [0, limit) is ever read. I2 every loop moves forward in a record of known
 *             size.
 * Locks.      None: struct efs2_fs does not change after efs2_open().
 */
#include "fs/eclipsefs/v2.h"

#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/layout.h"

/* I1: read, or EFS2_EBAD when the range is not inside the device. */
static int
v2_read(struct efs2_fs *fs, uint64_t off, void *buf, size_t n)
{
	if (off > fs->limit || n > fs->limit - off)
		return EFS2_EBAD;
	return fs->read(fs->ctx, off, buf, n);
}

/* What is wrong with the header, or NULL; fills in the geometry. */
static const char *
header_check(struct efs2_fs *fs, const struct efs_header *h)
{
	if (h->total_inodes == 0)
		return "no inodes";
	if (h->header_checksum != 0 && h->header_checksum != efs_header_crc(h))
		return "bad header checksum";
	if (h->inode_table_offset > fs->limit || h->inode_table_size > fs->limit - h->inode_table_offset)
		return "inode table lies outside";
	fs->entry_size = 0;
	if (h->inode_table_size == (uint64_t)h->total_inodes * sizeof(struct efs2_entry))
		fs->entry_size = sizeof(struct efs2_entry);
	else if (h->inode_table_size == (uint64_t)h->total_inodes * sizeof(struct efs2_entry16))
		fs->entry_size = sizeof(struct efs2_entry16);
	else
		return "inode table entries are neither 8 nor 16 bytes";
	fs->table = h->inode_table_offset;
	fs->table_size = h->inode_table_size;
	fs->inodes = h->total_inodes;
	fs->created = h->creation_time;
	return NULL;
}

/* Open the 2.0 file system behind `read`, `limit` bytes long. The caller has seen magic and version.
 * Returns: 0; an error of `read`; EFS2_EBAD with words in *wrong. */
int
efs2_open(struct efs2_fs *fs, efs2_read_fn *read, void *ctx, uint64_t limit, const char **wrong)
{
	struct efs_header h;
	struct efs2_info root;
	fs->read = read;
	fs->ctx = ctx;
	fs->limit = limit;
	*wrong = "header cannot be read";
	int err = v2_read(fs, 0, &h, sizeof(h));
	if (err)
		return err;
	*wrong = header_check(fs, &h);
	if (*wrong)
		return EFS2_EBAD;
	err = efs2_node_get(fs, EFS_ROOT_INO, &root);
	if (err == 0 && (root.mode & EFS_IFMT) == EFS_IFDIR)
		return 0;
	*wrong = "its root cannot be read";
	if (fs->entry_size == sizeof(struct efs2_entry16))
		*wrong = "its root cannot be read (was the image never populated?)";
	return err ? err : EFS2_EBAD;
}

/* Byte offset of the node of inode `ino`. */
static int
node_find(struct efs2_fs *fs, uint32_t ino, uint64_t *off)
{
	struct efs2_entry16 e = { 0, 0 };
	if (ino == 0 || ino > fs->inodes)
		return EFS2_EBAD;
	uint64_t at = fs->table + (uint64_t)(ino - 1) * fs->entry_size;
	int err;
	if (fs->entry_size == sizeof(e)) {
		err = v2_read(fs, at, &e, sizeof(e));
	} else {
		struct efs2_entry small = { 0, 0 };
		err = v2_read(fs, at, &small, sizeof(small));
		e.ino = small.ino;
		e.rel_offset = small.rel_offset;
	}
	if (err)
		return err;
	if (e.ino != ino || e.rel_offset > UINT32_MAX)
		return EFS2_EBAD;
	*off = fs->table + fs->table_size + e.rel_offset;
	return 0;
}

/* Where a TLV with this tag belongs in `info`: its address and length there; NULL for the others. */
static void *
tlv_field(struct efs2_info *info, uint8_t *type, unsigned tag, uint32_t *len)
{
	*len = tag == EFS2_TYPE ? 1 : tag == EFS2_SIZE || (tag >= EFS2_ATIME && tag <= EFS2_CTIME) ? 8 : 4;
	switch (tag) {
	case EFS2_TYPE:  return type;
	case EFS2_MODE:  return &info->mode;
	case EFS2_UID:   return &info->uid;
	case EFS2_GID:   return &info->gid;
	case EFS2_SIZE:  return &info->size;
	case EFS2_ATIME: return &info->atime;
	case EFS2_MTIME: return &info->mtime;
	case EFS2_CTIME: return &info->ctime;
	case EFS2_NLINK: return &info->nlink;
	default:         return NULL;
	}
}

struct range { uint64_t off, len; };

/* Read the TLVs of a record in [off, end); content goes to body[0], entries to body[1].
 * Returns 0 or an error of reading; a TLV that overruns the record ends the scan. */
static int
tlvs_read(struct efs2_fs *fs, uint64_t off, uint64_t end, struct efs2_info *info, uint8_t *type,
    struct range body[2])
{
	while (end - off >= sizeof(struct efs2_tlv)) {
		struct efs2_tlv tlv;
		uint32_t len;
		int err = v2_read(fs, off, &tlv, sizeof(tlv));
		if (err)
			return err;
		off += sizeof(tlv);
		if (tlv.length > end - off)
			break;
		void *field = tlv_field(info, type, tlv.tag, &len);
		if (field && tlv.length == len) {
			err = v2_read(fs, off, field, len);
			if (err)
				return err;
		} else if (tlv.tag == EFS2_CONTENT || tlv.tag == EFS2_ENTRIES) {
			body[tlv.tag - EFS2_CONTENT] = (struct range){ off, tlv.length };
		}
		off += tlv.length;
	}
	return 0;
}

/* Read the node of inode `ino`.
 * Returns: 0; EFS2_EBAD when there is no such node or it is not right; an error of reading. */
int
efs2_node_get(struct efs2_fs *fs, uint32_t ino, struct efs2_info *out)
{
	static const uint32_t types[] = { 0, EFS_IFREG, EFS_IFDIR, EFS_IFLNK };
	struct efs2_info info = { .ino = ino, .mode = EFS_IFREG | 0644, .nlink = 1 };
	struct efs2_node node;
	struct range body[2] = { { 0, 0 }, { 0, 0 } };
	uint8_t type = EFS2_FILE;
	uint64_t off;
	int err = node_find(fs, ino, &off);
	if (err == 0)
		err = v2_read(fs, off, &node, sizeof(node));
	if (err)
		return err;
	if (node.ino != ino || node.record_size < sizeof(node) || node.record_size > fs->limit - off)
		return EFS2_EBAD;
	err = tlvs_read(fs, off + sizeof(node), off + node.record_size, &info, &type, body);
	if (err)
		return err;
	info.content = body[type == EFS2_DIR].off;
	info.content_len = body[type == EFS2_DIR].len;
	if (type < EFS2_FILE || type > EFS2_SYMLINK || (type == EFS2_SYMLINK && info.content_len > EFS_LINK_MAX))
		return EFS2_EBAD;
	info.mode = types[type] | (info.mode & 07777);
	info.size = type == EFS2_DIR ? 0 : info.content_len;
	*out = info;
	return 0;
}

/* The directory entry at byte *pos of the entries; moves *pos behind it. `name` gets a NUL. The caller skips
 * later duplicates.
 * Returns: 1; 0 at the end; EFS2_EBAD when the entry is not right; an error of reading. */
int
efs2_dirent_get(struct efs2_fs *fs, const struct efs2_info *dir, uint64_t *pos, uint32_t *ino, char name[256])
{
	struct efs2_dirent de;
	if (*pos >= dir->content_len)
		return 0;
	uint64_t left = dir->content_len - *pos;
	if (left < sizeof(de))
		return EFS2_EBAD;
	int err = v2_read(fs, dir->content + *pos, &de, sizeof(de));
	if (err)
		return err;
	if (de.name_len > EFS_NAME_MAX || de.name_len > left - sizeof(de))
		return EFS2_EBAD;
	err = v2_read(fs, dir->content + *pos + sizeof(de), name, de.name_len);
	if (err)
		return err;
	name[de.name_len] = 0;
	if (!efs_name_ok(name, de.name_len))
		return EFS2_EBAD;
	*ino = de.ino;
	*pos += sizeof(de) + de.name_len;
	return 1;
}
