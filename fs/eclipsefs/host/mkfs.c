/* mkfs.c - make an EclipseFS 3.0, filled from a directory of the host.
 *
 * Idea.       The new file system is built once, front to back: areas first, then everything allocated in
 *             order by a cursor, so each file is one extent. Maps and inodes are kept in memory and written
 *             at the end; the superblock last.
 * Interface.  mkfs.eclipsefs [-d DIR] [-s SIZE] [-L LABEL] [options] IMAGE
 * Invariants. I1 nothing outside the window is written. I2 with SOURCE_DATE_EPOCH the result depends on the
 *             arguments and the tree only: names are sorted, times are those of the tree, at most the epoch.
 * Locks.      None.
 */
#define _GNU_SOURCE
#include "fs/eclipsefs/host/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/host/port.h"
#include "fs/eclipsefs/layout.h"

#define CHUNK (256u * EFS_BLOCK)

struct options {
	const char *image, *dir, *label;
	uint64_t size, offset, journal, inodes;
	bool size_given, journal_given, root_owner, quiet;
	int64_t epoch;			/* of SOURCE_DATE_EPOCH, or -1 */
};

struct hard_link { uint64_t dev, ino; uint32_t efs_ino; };

struct extent_list {
	struct efs_extent *e;
	size_t n, room;
};

struct builder {
	struct image im;
	struct efs_super sb;
	const struct options *opt;
	bool fresh;			/* the window reads as zeros already */
	uint64_t cursor;		/* next free block */
	struct efs_inode *inodes;	/* [1..ninodes] */
	uint32_t ninodes, inodes_room;
	struct hard_link *links;
	size_t nlinks;
	int64_t now;
};

struct tree_size { uint64_t blocks, inodes; };

static _Noreturn void
die(const char *what, const char *why)
{
	complain("%s: %s", what, why);
	exit(1);
}

static char *
path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *p = xalloc(n);
	snprintf(p, n, "%s/%s", dir, name);
	return p;
}

/* ---- the host's tree ---------------------------------------------------------------------------- */

static int
name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in host directory `path` but "." and "..", sorted (I2). */
static char **
names_read(const char *path, size_t *count)
{
	DIR *d = opendir(path);
	char **names = NULL;
	size_t n = 0;
	if (!d)
		die(path, strerror(errno));
	for (struct dirent *de; (de = readdir(d)) != NULL;) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		names = xgrow(names, (n + 1) * sizeof(*names));
		names[n++] = strcpy(xalloc(strlen(de->d_name) + 1), de->d_name);
	}
	closedir(d);
	if (n > 0)
		qsort(names, n, sizeof(*names), name_compare);
	*count = n;
	return names;
}

/* How much a tree will take at most. */
static void
tree_measure(const char *path, struct tree_size *sum)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		die(path, strerror(errno));
	sum->inodes++;
	if (!S_ISDIR(st.st_mode)) {
		if (S_ISREG(st.st_mode))
			sum->blocks += efs_size_blocks((uint64_t)st.st_size);
		sum->blocks += S_ISLNK(st.st_mode) ? 1 : (uint64_t)st.st_size / EFS_BLOCK / EFS_NODE_EXTENTS;
		return;
	}
	size_t n, bytes = 0;
	char **names = names_read(path, &n);
	for (size_t i = 0; i < n; i++) {
		char *p = path_join(path, names[i]);
		bytes += EFS_DIRENT_SIZE(strlen(names[i]));
		tree_measure(p, sum);
		free(p);
		free(names[i]);
	}
	free(names);
	sum->blocks += bytes / (EFS_BLOCK - 300) + 1;
}

/* ---- allocation --------------------------------------------------------------------------------- */

static uint64_t
blocks_take(struct builder *b, uint64_t n)
{
	if (n > b->sb.blocks - b->cursor)
		die(b->opt->image, "the file system is too small for its content");
	uint64_t first = b->cursor;
	b->cursor += n;
	return first;
}

static uint32_t
inode_take(struct builder *b)
{
	if (b->ninodes >= b->sb.h.total_inodes)
		die(b->opt->image, "not enough inodes for the content (-N)");
	if (++b->ninodes >= b->inodes_room) {
		b->inodes_room = b->inodes_room * 2 + 64;
		b->inodes = xgrow(b->inodes, b->inodes_room * sizeof(*b->inodes));
	}
	memset(&b->inodes[b->ninodes], 0, sizeof(struct efs_inode));
	b->inodes[b->ninodes].generation = 1;
	return b->ninodes;
}

static void
write_or_die(struct builder *b, uint64_t block, const void *data)
{
	int err = block_write(&b->im, block, data);
	if (err)
		die(b->opt->image, strerror(-err));
}

static bool
is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* ---- extents ------------------------------------------------------------------------------------ */

static void
extent_add(struct extent_list *l, uint32_t logical, uint64_t block, uint32_t len)
{
	struct efs_extent *last = l->n ? &l->e[l->n - 1] : NULL;
	if (last && last->len && last->logical + last->len == logical && last->block + last->len == block) {
		last->len += len;
		return;
	}
	if (l->n == l->room) {
		l->room = l->room * 2 + 16;
		l->e = xgrow(l->e, l->room * sizeof(*l->e));
	}
	l->e[l->n++] = (struct efs_extent){ .logical = logical, .len = len, .block = block };
}

/* Pack a list into extent nodes of `level`; the result is the list of entries that point at them. */
static struct extent_list
nodes_write(struct builder *b, uint32_t ino, struct extent_list *l, unsigned level)
{
	struct extent_list up = { NULL, 0, 0 };
	struct efs_extent_node node;
	for (size_t i = 0; i < l->n; i += EFS_NODE_EXTENTS) {
		size_t n = l->n - i < EFS_NODE_EXTENTS ? l->n - i : EFS_NODE_EXTENTS;
		uint64_t block = blocks_take(b, 1);
		efs_mb_init(&node, EFS_MB_EXTENT, block, b->sb.fsid, ino);
		node.level = (uint16_t)level;
		node.count = (uint16_t)n;
		memcpy(node.extents, l->e + i, n * sizeof(*l->e));
		efs_mb_seal(&node);
		write_or_die(b, block, &node);
		b->inodes[ino].blocks++;
		extent_add(&up, l->e[i].logical, block, 0);
	}
	free(l->e);
	return up;
}

/* Give inode `ino` these extents, building the tree above them from the bottom. Frees the list. */
static void
extents_set(struct builder *b, uint32_t ino, struct extent_list *l)
{
	unsigned level = 0;
	for (size_t i = 0; i < l->n; i++)
		b->inodes[ino].blocks += l->e[i].len;
	while (l->n > EFS_INODE_EXTENTS)
		*l = nodes_write(b, ino, l, level++);
	b->inodes[ino].level = (uint16_t)level;
	b->inodes[ino].count = (uint16_t)l->n;
	if (l->n > 0)
		memcpy(b->inodes[ino].extents, l->e, l->n * sizeof(*l->e));
	free(l->e);
}

/* ---- files -------------------------------------------------------------------------------------- */

/* Write `n` bytes as whole blocks from `block` on. All-zero chunks need no writing in a fresh image. */
static void
data_write(struct builder *b, uint64_t block, uint8_t *buf, size_t n)
{
	size_t whole = (size_t)efs_size_blocks(n) * EFS_BLOCK;
	memset(buf + n, 0, whole - n);
	if (b->fresh && is_zero(buf, whole))
		return;
	int err = image_write(&b->im, block * EFS_BLOCK, buf, whole);
	if (err)
		die(b->opt->image, strerror(-err));
}

/* One chunk of a file with holes: its zero blocks stay holes. */
static void
sparse_write(struct builder *b, struct extent_list *l, uint32_t logical, uint8_t *buf, size_t n)
{
	for (size_t at = 0; at < n; at += EFS_BLOCK, logical++) {
		size_t part = n - at < EFS_BLOCK ? n - at : EFS_BLOCK;
		uint8_t block[EFS_BLOCK];
		if (is_zero(buf + at, part))
			continue;
		memcpy(block, buf + at, part);
		uint64_t to = blocks_take(b, 1);
		data_write(b, to, block, part);
		extent_add(l, logical, to, 1);
	}
}

/* Where the block with the next data at or after `at` begins; the end of the file if there is none. */
static uint64_t
data_next(int fd, uint64_t at, uint64_t size)
{
	off_t next = lseek(fd, (off_t)at, SEEK_DATA);
	if (next < 0)
		return errno == ENXIO ? size : at;	/* or the host does not know */
	return (uint64_t)next & ~(uint64_t)(EFS_BLOCK - 1);
}

/* Copy the content of host file `path` into inode `ino`. */
static void
file_fill(struct builder *b, uint32_t ino, const char *path, const struct stat *st)
{
	static uint8_t buf[CHUNK];
	struct extent_list l = { NULL, 0, 0 };
	bool sparse = (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
	uint64_t size = (uint64_t)st->st_size;
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path, strerror(errno));
	if (size > EFS_MAX_SIZE)
		die(path, strerror(EFBIG));
	for (uint64_t at = 0; at < size;) {
		if (sparse && (at = data_next(fd, at, size)) >= size)
			break;
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
		ssize_t got = pread(fd, buf, n, (off_t)at);
		if (got < 0)
			die(path, strerror(errno));
		memset(buf + got, 0, n - (size_t)got);
		uint32_t logical = (uint32_t)(at >> EFS_BLOCK_BITS);
		if (sparse) {
			sparse_write(b, &l, logical, buf, n);
		} else {
			uint32_t blocks = (uint32_t)efs_size_blocks(n);
			uint64_t to = blocks_take(b, blocks);
			data_write(b, to, buf, n);
			extent_add(&l, logical, to, blocks);
		}
		at += n;
	}
	close(fd);
	b->inodes[ino].size = size;
	extents_set(b, ino, &l);
}

static void
symlink_fill(struct builder *b, uint32_t ino, const char *path)
{
	uint8_t target[EFS_LINK_MAX + 1];
	struct extent_list l = { NULL, 0, 0 };
	ssize_t n = readlink(path, (char *)target, sizeof(target));
	if (n <= 0 || n > (ssize_t)EFS_LINK_MAX)
		die(path, n < 0 ? strerror(errno) : "impossible symlink");
	b->inodes[ino].size = (uint64_t)n;
	if (n <= (ssize_t)EFS_INLINE_MAX) {
		b->inodes[ino].flags = EFS_INODE_INLINE;
		memcpy(b->inodes[ino].inline_data, target, (size_t)n);
		return;
	}
	uint64_t block = blocks_take(b, 1);
	data_write(b, block, target, (size_t)n);
	extent_add(&l, 0, block, 1);
	extents_set(b, ino, &l);
}

/* ---- directories -------------------------------------------------------------------------------- */

/* A directory being filled: its blocks in memory, the last one open at `off`. */
struct dir_buffer {
	uint8_t *data;
	size_t blocks;
	uint32_t off;			/* where the free rest of the last block begins */
};

/* Make what is left of the last block one free record (or slack of the last record). */
static void
dir_close_block(struct dir_buffer *d, uint32_t last)
{
	uint8_t *block = d->data + (d->blocks - 1) * EFS_BLOCK;
	uint32_t left = EFS_BLOCK - d->off;
	if (left >= EFS_DIRENT_MIN)
		((struct efs_dirent *)(block + d->off))->reclen = (uint16_t)left;
	else
		((struct efs_dirent *)(block + last))->reclen += (uint16_t)left;
}

static void
dir_add(struct dir_buffer *d, uint32_t *last, const char *name, uint32_t ino, uint32_t mode)
{
	size_t len = strlen(name);
	uint32_t need = EFS_DIRENT_SIZE((uint32_t)len);
	if (d->blocks == 0 || EFS_BLOCK - d->off < need) {
		if (d->blocks)
			dir_close_block(d, *last);
		d->data = xgrow(d->data, (d->blocks + 1) * EFS_BLOCK);
		memset(d->data + d->blocks++ * EFS_BLOCK, 0, EFS_BLOCK);
		d->off = EFS_DIR_FIRST;
	}
	struct efs_dirent *de = (struct efs_dirent *)(d->data + (d->blocks - 1) * EFS_BLOCK + d->off);
	de->ino = ino;
	de->hash = efs_name_hash(name, len);
	de->reclen = (uint16_t)need;
	de->namelen = (uint8_t)len;
	de->type = (uint8_t)(mode >> 12);
	memcpy(de->name, name, len);
	*last = d->off;
	d->off += need;
}

/* Write the blocks of a finished directory. */
static void
dir_finish(struct builder *b, uint32_t ino, struct dir_buffer *d, uint32_t last)
{
	struct extent_list l = { NULL, 0, 0 };
	if (d->blocks == 0)
		return;
	dir_close_block(d, last);
	uint64_t first = blocks_take(b, d->blocks);
	for (size_t i = 0; i < d->blocks; i++) {
		struct efs_mb mb = {
			.magic = EFS_MB_DIR, .block = first + i, .fsid = b->sb.fsid, .owner = ino,
		};
		memcpy(d->data + i * EFS_BLOCK, &mb, sizeof(mb));
		efs_mb_seal(d->data + i * EFS_BLOCK);
		write_or_die(b, first + i, d->data + i * EFS_BLOCK);
	}
	extent_add(&l, 0, first, (uint32_t)d->blocks);
	b->inodes[ino].size = (uint64_t)d->blocks * EFS_BLOCK;
	extents_set(b, ino, &l);
	free(d->data);
}

/* Mode, owner and times of the host's file; times are at most the epoch (I2). */
static void
inode_stat(struct builder *b, uint32_t ino, const struct stat *st, uint32_t mode)
{
	struct efs_inode *di = &b->inodes[ino];
	int64_t t = (int64_t)st->st_mtime;
	uint32_t ns = STAT_MTIME_NS(st);
	if (b->opt->epoch >= 0 && t >= b->opt->epoch) {
		t = b->opt->epoch;
		ns = 0;
	}
	di->mode = mode;
	di->nlink = 1;
	di->uid = b->opt->root_owner ? 0 : st->st_uid;
	di->gid = b->opt->root_owner ? 0 : st->st_gid;
	di->atime = di->mtime = di->ctime = di->btime = t;
	di->atime_ns = di->mtime_ns = di->ctime_ns = di->btime_ns = ns;
}

/* The inode already made for the host file of `st`, or 0. */
static uint32_t
link_find(struct builder *b, const struct stat *st)
{
	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	for (size_t i = 0; i < b->nlinks; i++)
		if (b->links[i].dev == (uint64_t)st->st_dev && b->links[i].ino == (uint64_t)st->st_ino)
			return b->links[i].efs_ino;
	return 0;
}

static void
link_note(struct builder *b, const struct stat *st, uint32_t ino)
{
	if (st->st_nlink < 2)
		return;
	b->links = xgrow(b->links, (b->nlinks + 1) * sizeof(*b->links));
	b->links[b->nlinks++] = (struct hard_link){ (uint64_t)st->st_dev, (uint64_t)st->st_ino, ino };
}

/* Linux's type bits for the host's. */
static uint32_t
mode_of(const struct stat *st)
{
	uint32_t perm = st->st_mode & 07777;
	return perm | (S_ISREG(st->st_mode) ? EFS_IFREG : S_ISDIR(st->st_mode) ? EFS_IFDIR
	    : S_ISLNK(st->st_mode) ? EFS_IFLNK : S_ISCHR(st->st_mode) ? EFS_IFCHR
	    : S_ISBLK(st->st_mode) ? EFS_IFBLK : S_ISFIFO(st->st_mode) ? EFS_IFIFO : 0);
}

static void dir_fill(struct builder *b, uint32_t ino, const char *path);

/* Make the inode for host file `path`. Returns its number; 0 when it is of a kind we do not store. */
static uint32_t
entry_make(struct builder *b, uint32_t parent, const char *path, uint32_t *mode)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		die(path, strerror(errno));
	*mode = mode_of(&st);
	if ((*mode & EFS_IFMT) == 0) {
		complain("%s: a socket: left out", path);
		return 0;
	}
	uint32_t ino = link_find(b, &st);
	if (ino) {
		if (++b->inodes[ino].nlink > EFS_NLINK_MAX)
			die(path, strerror(EMLINK));
		return ino;
	}
	ino = inode_take(b);
	inode_stat(b, ino, &st, *mode);
	if (S_ISDIR(st.st_mode)) {
		b->inodes[ino].parent = parent;
		dir_fill(b, ino, path);
		return ino;
	}
	link_note(b, &st, ino);
	if (S_ISREG(st.st_mode))
		file_fill(b, ino, path, &st);
	else if (S_ISLNK(st.st_mode))
		symlink_fill(b, ino, path);
	else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		b->inodes[ino].rdev = linux_dev((uint32_t)major(st.st_rdev), (uint32_t)minor(st.st_rdev));
	return ino;
}

/* Fill directory `ino` with what is in host directory `path`, and all below. */
static void
dir_fill(struct builder *b, uint32_t ino, const char *path)
{
	struct dir_buffer d = { NULL, 0, 0 };
	uint32_t last = 0, mode, subdirs = 0;
	size_t n;
	char **names = names_read(path, &n);
	for (size_t i = 0; i < n; i++) {
		char *p = path_join(path, names[i]);
		if (!efs_name_ok(names[i], strlen(names[i])))
			die(p, "impossible name");
		uint32_t child = entry_make(b, ino, p, &mode);
		if (child) {
			dir_add(&d, &last, names[i], child, mode);
			subdirs += (mode & EFS_IFMT) == EFS_IFDIR;
		}
		free(p);
		free(names[i]);
	}
	free(names);
	b->inodes[ino].nlink = 2 + subdirs;
	dir_finish(b, ino, &d, last);
}

/* ---- the areas ---------------------------------------------------------------------------------- */

static uint64_t
journal_default(uint64_t blocks)
{
	uint64_t n = blocks / 64;
	return n < EFS_JOURNAL_MIN ? EFS_JOURNAL_MIN : n > 8192 ? 8192 : n;
}

/* One inode for 16 KiB; less dense above 64 GiB, where files are larger. */
static uint64_t
inodes_default(uint64_t blocks)
{
	const uint64_t many = 4u << 20;
	return blocks / 4 <= many ? blocks / 4 : many + (blocks - 4 * many) / 256;
}

/* Decide where everything lies in `blocks` blocks. */
static void
super_layout(struct builder *b, uint64_t blocks, uint64_t inodes)
{
	struct efs_super *sb = &b->sb;
	uint64_t at = EFS_FIRST_AREA;
	sb->blocks = blocks;
	sb->h.total_inodes = (uint32_t)inodes;
	sb->journal_blocks = b->opt->journal_given ? b->opt->journal / EFS_BLOCK : journal_default(blocks);
	if (sb->journal_blocks) {
		if (sb->journal_blocks < EFS_JOURNAL_MIN)
			sb->journal_blocks = EFS_JOURNAL_MIN;
		sb->journal_start = at;
		at += sb->journal_blocks;
	}
	sb->bmap_start = at;
	at += sb->bmap_blocks = efs_div_up(blocks, EFS_MAP_BITS);
	sb->imap_start = at;
	at += sb->imap_blocks = efs_div_up(inodes, EFS_MAP_BITS);
	sb->itable_start = at;
	at += sb->itable_blocks = efs_div_up(inodes, EFS_INODES_PER_BLOCK);
	sb->h.inode_table_offset = sb->itable_start * EFS_BLOCK;
	sb->h.inode_table_size = sb->itable_blocks * EFS_BLOCK;
	sb->data_start = b->cursor = at;
	if (at + 1 > blocks)
		die(b->opt->image, "too small for a file system");
}

/* A uuid: random, or made from what else is known when the result must repeat (I2). */
static void
uuid_make(struct builder *b)
{
	uint8_t *u = b->sb.uuid;
	int fd = b->opt->epoch < 0 ? open("/dev/urandom", O_RDONLY) : -1;
	if (fd < 0 || read(fd, u, 16) != 16) {
		uint64_t seed[3] = { (uint64_t)b->now, b->sb.blocks, b->im.offset };
		uint32_t crc = crc32c(0, b->sb.label, sizeof(b->sb.label));
		for (uint32_t i = 0; i < 4; i++) {
			crc = crc32c(crc ^ i, seed, sizeof(seed));
			memcpy(u + 4 * i, &crc, 4);
		}
	}
	if (fd >= 0)
		close(fd);
	u[6] = (u[6] & 0x0f) | 0x40;
	u[8] = (u[8] & 0x3f) | 0x80;
	b->sb.fsid = crc32c(0, u, 16);
}

/* Write the map of `total` things of which the first `used` are in use. */
static void
map_write(struct builder *b, uint32_t magic, uint64_t start, uint64_t blocks, uint64_t total, uint64_t used)
{
	struct efs_bitmap map;
	for (uint64_t k = 0; k < blocks; k++) {
		efs_mb_init(&map, magic, start + k, b->sb.fsid, 0);
		for (uint32_t i = 0; i < EFS_MAP_BITS; i++) {
			uint64_t n = k * EFS_MAP_BITS + i;
			if (n < used || n >= total)
				map.bits[i / 64] |= 1ull << i % 64;
		}
		efs_mb_seal(&map);
		write_or_die(b, start + k, &map);
	}
}

static void
itable_write(struct builder *b)
{
	struct efs_inode_block ib;
	for (uint32_t first = 1; first <= b->ninodes; first += EFS_INODES_PER_BLOCK) {
		uint64_t block = efs_inode_block_of(&b->sb, first);
		efs_mb_init(&ib, EFS_MB_INODES, block, b->sb.fsid, 0);
		for (uint32_t i = 0; i < EFS_INODES_PER_BLOCK && first + i <= b->ninodes; i++)
			ib.inodes[i] = b->inodes[first + i];
		efs_mb_seal(&ib);
		write_or_die(b, block, &ib);
	}
}

static void
journal_write(struct builder *b)
{
	struct efs_jsuper js;
	if (!b->sb.journal_blocks)
		return;
	efs_mb_init(&js, EFS_MB_JSUPER, b->sb.journal_start, b->sb.fsid, 0);
	js.length = (uint32_t)b->sb.journal_blocks;
	js.seq = 1;
	efs_mb_seal(&js);
	write_or_die(b, b->sb.journal_start, &js);
}

/* Everything but data: maps, inodes, journal, at last the two superblocks. */
static void
areas_write(struct builder *b)
{
	static const uint8_t zero[EFS_BLOCK];
	struct efs_super *sb = &b->sb;
	map_write(b, EFS_MB_BMAP, sb->bmap_start, sb->bmap_blocks, sb->blocks, b->cursor);
	map_write(b, EFS_MB_IMAP, sb->imap_start, sb->imap_blocks, sb->h.total_inodes, b->ninodes);
	itable_write(b);
	journal_write(b);
	for (uint64_t i = 1; i < EFS_BACKUP_BLOCK && !b->fresh; i++)
		write_or_die(b, i, zero);
	memcpy(sb->h.magic, EFS_MAGIC, EFS_MAGIC_LEN);
	sb->h.version = EFS_VERSION_3;
	sb->h.creation_time = sb->h.last_check = (uint64_t)b->now;
	sb->block_size = EFS_BLOCK;
	sb->state = EFS_CLEAN;
	sb->free_blocks = sb->blocks - b->cursor;
	sb->free_inodes = sb->h.total_inodes - b->ninodes;
	sb->write_time = b->now;
	efs_super_seal(sb);
	write_or_die(b, EFS_BACKUP_BLOCK, sb);
	write_or_die(b, EFS_SUPER_BLOCK, sb);
}

/* The root directory, from the host's DIR or empty. */
static void
root_make(struct builder *b)
{
	struct stat st;
	uint32_t ino = inode_take(b);
	memset(&st, 0, sizeof(st));
	st.st_mtime = (time_t)b->now;
	if (b->opt->dir && stat(b->opt->dir, &st) != 0)
		die(b->opt->dir, strerror(errno));
	if (b->opt->dir && !S_ISDIR(st.st_mode))
		die(b->opt->dir, strerror(ENOTDIR));
	inode_stat(b, ino, &st, EFS_IFDIR | (b->opt->dir ? st.st_mode & 07777 : 0755));
	b->inodes[ino].nlink = 2;
	b->inodes[ino].parent = ino;
	if (b->opt->dir)
		dir_fill(b, ino, b->opt->dir);
}

/* ---- arguments ---------------------------------------------------------------------------------- */

/* Open or make the image and decide on the size in blocks. */
static uint64_t
window_prepare(struct builder *b, const struct tree_size *tree)
{
	const struct options *o = b->opt;
	struct stat st;
	int err = image_open(&b->im, o->image, O_RDWR | O_CREAT, o->offset, IMAGE_PARTITION);
	if (err || fstat(b->im.fd, &st) != 0)
		die(o->image, strerror(err ? -err : errno));
	uint64_t size = o->size_given ? o->size : b->im.bytes;
	if (size == 0 && o->dir)
		size = tree->blocks * EFS_BLOCK / 4 * 5 + tree->inodes * 1024 + (16u << 20);
	if (size / EFS_BLOCK < EFS_MIN_BLOCKS)
		die(o->image, size ? "at least 1M is needed" : "how large? (-s SIZE)");
	if (b->im.partitioned && size > b->im.bytes)
		die(o->image, "the partition is smaller than that");
	bool whole = !b->im.partitioned && b->im.offset == 0 && S_ISREG(st.st_mode);
	if (whole && ftruncate(b->im.fd, 0) != 0)
		die(o->image, strerror(errno));
	if (S_ISREG(st.st_mode) && (whole || b->im.offset + size > (uint64_t)st.st_size)
	    && ftruncate(b->im.fd, (off_t)(b->im.offset + size)) != 0)
		die(o->image, strerror(errno));
	if (!S_ISREG(st.st_mode) && size > b->im.bytes)
		die(o->image, "the device is smaller than that");
	b->fresh = whole || b->im.offset >= (uint64_t)st.st_size;
	b->im.bytes = size;
	return size / EFS_BLOCK;
}

static void
filesystem_make(const struct options *o)
{
	struct builder *b = xalloc(sizeof(*b));
	struct tree_size tree = { 0, 0 };
	b->opt = o;
	b->now = o->epoch >= 0 ? o->epoch : (int64_t)time(NULL);
	if (o->dir)
		tree_measure(o->dir, &tree);
	uint64_t blocks = window_prepare(b, &tree);
	uint64_t inodes = o->inodes ? o->inodes : inodes_default(blocks);
	if (!o->inodes && inodes < tree.inodes + tree.inodes / 4 + 60)
		inodes = tree.inodes + tree.inodes / 4 + 60;
	if (inodes > UINT32_MAX - EFS_INODES_PER_BLOCK)
		inodes = UINT32_MAX - EFS_INODES_PER_BLOCK;
	super_layout(b, blocks, efs_div_up(inodes, EFS_INODES_PER_BLOCK) * EFS_INODES_PER_BLOCK);
	memcpy(b->sb.label, o->label, strlen(o->label));
	uuid_make(b);
	root_make(b);
	areas_write(b);
	if (close(b->im.fd) != 0)
		die(o->image, strerror(errno));
	if (!o->quiet)
		printf("%s: EclipseFS 3.0, %llu blocks (%llu free), %u inodes (%u in use), journal %llu blocks\n", o->image,
		    (unsigned long long)blocks, (unsigned long long)b->sb.free_blocks, b->sb.h.total_inodes, b->ninodes,
		    (unsigned long long)b->sb.journal_blocks);
	free(b->inodes);
	free(b->links);
	free(b);
}

static _Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: mkfs.eclipsefs [-d DIR] [-s SIZE] [-L LABEL] [options] IMAGE\n"
	    "  -d, --dir DIR       fill it with this tree (hard links, symlinks, modes, times, devices)\n"
	    "  -s, --size SIZE     bytes, with K M G T; default: what is there, or what DIR needs\n"
	    "  -L, --label LABEL   up to 32 bytes\n"
	    "  -N, --inodes N      number of inodes (default: one for 16 KiB)\n"
	    "  -J, --journal SIZE  size of the journal area, 0 for none\n"
	    "  -r, --root-owner    all files belong to root:root\n"
	    "      --offset BYTES  where in IMAGE; default: its Linux partition, or the whole file\n"
	    "  -q, --quiet\n"
	    "With SOURCE_DATE_EPOCH in the environment the result is reproducible.\n");
	exit(2);
}

static uint64_t
size_argument(const char *text)
{
	uint64_t n;
	if (!size_parse(text, &n) || n > INT64_MAX)
		die(text, "not a size");
	return n;
}

static void
options_parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "dir", 1, NULL, 'd' }, { "size", 1, NULL, 's' }, { "label", 1, NULL, 'L' }, { "inodes", 1, NULL, 'N' },
		{ "journal", 1, NULL, 'J' }, { "root-owner", 0, NULL, 'r' }, { "offset", 1, NULL, 'o' },
		{ "quiet", 0, NULL, 'q' }, { NULL, 0, NULL, 0 },
	};
	for (int c; (c = getopt_long(argc, argv, "d:s:L:N:J:rq", longs, NULL)) != -1;) {
		switch (c) {
		case 'd': o->dir = optarg; break;
		case 's': o->size = size_argument(optarg); o->size_given = true; break;
		case 'L': o->label = optarg; break;
		case 'N': o->inodes = size_argument(optarg); break;
		case 'J': o->journal = size_argument(optarg); o->journal_given = true; break;
		case 'r': o->root_owner = true; break;
		case 'o': o->offset = size_argument(optarg); break;
		case 'q': o->quiet = true; break;
		default: usage();
		}
	}
	if (optind != argc - 1)
		usage();
	o->image = argv[optind];
	if (strlen(o->label) > sizeof(((struct efs_super *)0)->label))
		die(o->label, "the label is longer than 32 bytes");
}

int
main(int argc, char **argv)
{
	struct options o = { .label = "", .offset = OFFSET_UNKNOWN, .epoch = -1 };
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	tool_name = "mkfs.eclipsefs";
	if (epoch && *epoch)
		o.epoch = strtoll(epoch, NULL, 10);
	options_parse(&o, argc, argv);
	filesystem_make(&o);
	return 0;
}
