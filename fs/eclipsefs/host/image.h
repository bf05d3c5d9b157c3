/* image.h - the host tools' view of an image: a window of blocks in a file, and messages. */
#ifndef ECLIPSEFS_HOST_IMAGE_H
#define ECLIPSEFS_HOST_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/eclipsefs/format.h"

struct image {
	const char *path;
	int fd;
	uint64_t offset;		/* bytes: where the file system starts in the file */
	uint64_t bytes;			/* length of its window: to the partition's or the file's end */
	bool partitioned;		/* the window is a partition of a whole-disk image */
};

/* What to look for in a whole-disk image */
enum image_want { IMAGE_FILESYSTEM, IMAGE_PARTITION, IMAGE_AT_OFFSET };

#define OFFSET_UNKNOWN UINT64_MAX

int image_open(struct image *im, const char *path, int flags, uint64_t offset, enum image_want want);
int image_read(struct image *im, uint64_t off, void *buf, size_t n);
int image_write(struct image *im, uint64_t off, const void *buf, size_t n);
int block_read(struct image *im, uint64_t block, void *buf);
int block_write(struct image *im, uint64_t block, const void *buf);

bool size_parse(const char *text, uint64_t *out);
void *xalloc(size_t n);
void *xgrow(void *p, size_t n);
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

extern const char *tool_name;

#endif
