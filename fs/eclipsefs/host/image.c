/* image.c - the host tools' view of an image: a window of blocks in a file, and messages.
 *
 * Idea.       An image is a bare file system or a whole disk. With an offset given we believe it; else a file
 *             system at byte 0 wins, then the partition tables (GPT, then MBR) are searched.
 * Interface.  image_open() finds the window; block_read()/block_write() work inside it and nowhere else.
 * Invariants. I1 no read or write leaves [offset, offset + bytes).
 * Locks.      None.
 */
#include "fs/eclipsefs/host/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR       512u
#define GPT_MAX      1024u		/* partition entries we are willing to look at */
#define MBR_TABLE    446
#define MBR_LINUX    0x83

struct EFS_PACKED gpt_header {
	uint8_t signature[8];
	uint32_t revision, header_size, header_crc, reserved;
	uint64_t my_lba, other_lba, first_lba, last_lba;
	uint8_t guid[16];
	uint64_t entries_lba;
	uint32_t entries, entry_size, entries_crc;
};

struct EFS_PACKED gpt_entry {
	uint8_t type[16], guid[16];
	uint64_t first, last, attributes;
};

/* 0FC63DAF-8483-4772-8E79-3D69D8477DE4: a Linux file system */
static const uint8_t linux_guid[16] = {
	0xAF, 0x3D, 0xC6, 0x0F, 0x83, 0x84, 0x72, 0x47, 0x8E, 0x79, 0x3D, 0x69, 0xD8, 0x47, 0x7D, 0xE4,
};

const char *tool_name = "eclipsefs";

/* A message on stderr, with the tool's name before it. */
void
complain(const char *fmt, ...)
{
	va_list ap;
	fflush(stdout);
	fprintf(stderr, "%s: ", tool_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* Zeroed memory, or the end of the program (status 8: could not run). */
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

/* "4096", "64M", "1G": a number with a power of 1024. */
bool
size_parse(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return false;
	int shift = 0;
	if (*end) {
		const char *u = strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
		if (!u)
			return false;
		shift = 10 * (int)(u - units + 1);
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	if (*end || n > UINT64_MAX >> shift)
		return false;
	*out = (uint64_t)n << shift;
	return true;
}

/* Move all `n` bytes at byte `at` of the file; 0 or -errno. A read beyond the end gives zeros. */
static int
file_read(int fd, uint64_t at, void *buf, size_t n)
{
	char *p = buf;
	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			memset(p, 0, n);
			return 0;
		}
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int
file_write(int fd, uint64_t at, const void *buf, size_t n)
{
	const char *p = buf;
	while (n > 0) {
		ssize_t put = pwrite(fd, p, n, (off_t)at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		p += put;
		at += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

/* Read inside the window. Returns 0 or -errno (-ERANGE outside). */
int
image_read(struct image *im, uint64_t off, void *buf, size_t n)
{
	if (off > im->bytes || n > im->bytes - off)
		return -ERANGE;
	return file_read(im->fd, im->offset + off, buf, n);
}

int
image_write(struct image *im, uint64_t off, const void *buf, size_t n)
{
	if (off > im->bytes || n > im->bytes - off)
		return -ERANGE;
	return file_write(im->fd, im->offset + off, buf, n);
}

int
block_read(struct image *im, uint64_t block, void *buf)
{
	if (block >= im->bytes / EFS_BLOCK)
		return -ERANGE;
	return image_read(im, block * EFS_BLOCK, buf, EFS_BLOCK);
}

int
block_write(struct image *im, uint64_t block, const void *buf)
{
	if (block >= im->bytes / EFS_BLOCK)
		return -ERANGE;
	return image_write(im, block * EFS_BLOCK, buf, EFS_BLOCK);
}

/* Whether an EclipseFS, of any version or with a damaged first superblock, starts at byte `at` of the
 * file. */
static bool
is_filesystem(struct image *im, uint64_t at)
{
	char magic[EFS_MAGIC_LEN];
	const uint64_t places[] = { 0, (uint64_t)EFS_BACKUP_BLOCK * EFS_BLOCK };
	for (int i = 0; i < 2; i++)
		if (file_read(im->fd, at + places[i], magic, sizeof(magic)) == 0
		    && memcmp(magic, EFS_MAGIC, EFS_MAGIC_LEN) == 0)
			return true;
	return false;
}

/* Take [first, last] (sectors) as the window if it is wanted and inside a file of `size` bytes. */
static bool
partition_take(struct image *im, uint64_t first, uint64_t last, uint64_t size, bool is_linux,
    enum image_want want)
{
	if (first == 0 || last < first || first >= size / SECTOR)
		return false;
	if (last >= size / SECTOR)
		last = size / SECTOR - 1;
	if ((want == IMAGE_FILESYSTEM && !is_filesystem(im, first * SECTOR))
	    || (want == IMAGE_PARTITION && !is_linux)
	    || (want == IMAGE_AT_OFFSET && first * SECTOR != im->offset))
		return false;
	im->offset = first * SECTOR;
	im->bytes = (last - first + 1) * SECTOR;
	im->partitioned = true;
	return true;
}

static bool
gpt_search(struct image *im, uint64_t size, enum image_want want)
{
	struct gpt_header h;
	if (file_read(im->fd, SECTOR, &h, sizeof(h)) || memcmp(h.signature, "EFI PART", 8) != 0)
		return false;
	if (h.entry_size < sizeof(struct gpt_entry) || h.entry_size > SECTOR * 8 || h.entries_lba > size / SECTOR)
		return false;
	for (uint32_t i = 0; i < h.entries && i < GPT_MAX; i++) {
		struct gpt_entry e;
		if (file_read(im->fd, h.entries_lba * SECTOR + (uint64_t)i * h.entry_size, &e, sizeof(e)))
			return false;
		bool is_linux = memcmp(e.type, linux_guid, sizeof(linux_guid)) == 0;
		if (partition_take(im, e.first, e.last, size, is_linux, want))
			return true;
	}
	return false;
}

static bool
mbr_search(struct image *im, uint64_t size, enum image_want want)
{
	uint8_t s[SECTOR];
	if (file_read(im->fd, 0, s, sizeof(s)) || s[510] != 0x55 || s[511] != 0xAA)
		return false;
	for (int i = 0; i < 4; i++) {
		const uint8_t *e = s + MBR_TABLE + 16 * i;
		uint32_t first, count;
		memcpy(&first, e + 8, 4);
		memcpy(&count, e + 12, 4);
		if (count && partition_take(im, first, (uint64_t)first + count - 1, size, e[4] == MBR_LINUX, want))
			return true;
	}
	return false;
}

/* Set the window: at `offset` when given (a partition that starts there bounds it), else where a file
 * system (or, for IMAGE_PARTITION, a Linux partition) is found, else the whole file. */
static void
window_find(struct image *im, uint64_t size, uint64_t offset, enum image_want want)
{
	im->offset = 0;
	im->bytes = size;
	im->partitioned = false;
	if (offset != OFFSET_UNKNOWN) {
		im->offset = offset;
		im->bytes = offset < size ? size - offset : 0;
		if (!gpt_search(im, size, IMAGE_AT_OFFSET))
			mbr_search(im, size, IMAGE_AT_OFFSET);
		return;
	}
	if (want == IMAGE_FILESYSTEM && is_filesystem(im, 0))
		return;
	if (!gpt_search(im, size, want))
		mbr_search(im, size, want);
}

/* Open `path` with open()'s `flags` and find the file system in it.
 * Returns: 0; -errno. */
int
image_open(struct image *im, const char *path, int flags, uint64_t offset, enum image_want want)
{
	im->path = path;
	im->fd = open(path, flags, 0666);
	if (im->fd < 0)
		return -errno;
	off_t size = lseek(im->fd, 0, SEEK_END);
	if (size < 0) {
		int err = -errno;
		close(im->fd);
		return err;
	}
	window_find(im, (uint64_t)size, offset, want);
	return 0;
}
