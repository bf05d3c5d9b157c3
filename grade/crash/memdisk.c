/* memdisk.c - a disk in memory, in place of the host tools' image.c.
 *
 * Idea.       The tools' own sources (replay, fsck, the reader) are linked with this, so that ten thousand
 *             images are looked at without a file or a process each. After memdisk_mark() the first write
 *             to a block saves it; memdisk_restore() goes back.
 * Interface.  memdisk.h, and the functions of fs/eclipsefs/host/image.h.
 * Invariants. I1 a block is in the undo list once, with its content at the mark.
 * Locks.      None.
 */
#include "grade/crash/memdisk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/eclipsefs/host/image.h"

static uint8_t *disk, *saved;
static size_t size, nsaved;
static uint32_t *saved_block;
static bool *is_saved;
static bool marked;

const char *tool_name = "crash";

void
memdisk_init(const void *content, size_t bytes)
{
	size = bytes;
	disk = xalloc(bytes);
	saved = xalloc(bytes);
	saved_block = xalloc(bytes / EFS_BLOCK * sizeof(*saved_block));
	is_saved = xalloc(bytes / EFS_BLOCK * sizeof(*is_saved));
	memcpy(disk, content, bytes);
}

const uint8_t *
memdisk_bytes(void)
{
	return disk;
}

size_t
memdisk_size(void)
{
	return size;
}

void
memdisk_put(uint64_t off, const void *data, size_t n)
{
	for (uint64_t b = off / EFS_BLOCK; marked && n && b <= (off + n - 1) / EFS_BLOCK; b++) {
		if (is_saved[b])
			continue;
		is_saved[b] = true;
		memcpy(saved + nsaved * EFS_BLOCK, disk + b * EFS_BLOCK, EFS_BLOCK);
		saved_block[nsaved++] = (uint32_t)b;
	}
	memcpy(disk + off, data, n);
}

/* From here on changes can be taken back. */
void
memdisk_mark(void)
{
	marked = true;
}

/* Take back what was changed since the mark. The mark is gone. */
void
memdisk_restore(void)
{
	for (; nsaved > 0; nsaved--) {
		uint32_t b = saved_block[nsaved - 1];
		memcpy(disk + (uint64_t)b * EFS_BLOCK, saved + (nsaved - 1) * EFS_BLOCK, EFS_BLOCK);
		is_saved[b] = false;
	}
	marked = false;
}

/* ---- fs/eclipsefs/host/image.h ---- */

int
image_open(struct image *im, const char *path, int flags, uint64_t offset, enum image_want want)
{
	(void)flags, (void)offset, (void)want;
	*im = (struct image){ .path = path, .fd = -1, .bytes = size };
	return 0;
}

int
image_read(struct image *im, uint64_t off, void *buf, size_t n)
{
	if (off > im->bytes || n > im->bytes - off)
		return -ERANGE;
	memcpy(buf, disk + off, n);
	return 0;
}

int
image_write(struct image *im, uint64_t off, const void *buf, size_t n)
{
	if (off > im->bytes || n > im->bytes - off)
		return -ERANGE;
	memdisk_put(off, buf, n);
	return 0;
}

int
block_read(struct image *im, uint64_t block, void *buf)
{
	return block < im->bytes / EFS_BLOCK ? image_read(im, block * EFS_BLOCK, buf, EFS_BLOCK) : -ERANGE;
}

int
block_write(struct image *im, uint64_t block, const void *buf)
{
	return block < im->bytes / EFS_BLOCK ? image_write(im, block * EFS_BLOCK, buf, EFS_BLOCK) : -ERANGE;
}

void *
xalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);
	if (!p) {
		complain("out of memory");
		exit(8);
	}
	return p;
}

void *
xgrow(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p) {
		complain("out of memory");
		exit(8);
	}
	return p;
}

/* What the tools complain about is in the report of the image, not on the terminal. */
void
complain(const char *fmt, ...)
{
	va_list ap;
	size_t used = strlen(fsck_text);
	va_start(ap, fmt);
	vsnprintf(fsck_text + used, sizeof(fsck_text) - used, fmt, ap);
	va_end(ap);
	used = strlen(fsck_text);
	snprintf(fsck_text + used, sizeof(fsck_text) - used, "\n");
}

bool
size_parse(const char *text, uint64_t *out)
{
	*out = strtoull(text, NULL, 0);
	return true;
}
