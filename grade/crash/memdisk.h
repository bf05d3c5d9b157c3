/* memdisk.h - a disk in memory under the host tools' sources, with an undo log. */
#ifndef CRASH_MEMDISK_H
#define CRASH_MEMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void memdisk_init(const void *content, size_t bytes);
void memdisk_put(uint64_t off, const void *data, size_t n);
void memdisk_mark(void);
void memdisk_restore(void);
const uint8_t *memdisk_bytes(void);
size_t memdisk_size(void);

/* fsck_in.c: fsck.eclipsefs on the memory disk. Its exit status; what it said is in fsck_text. */
int fsck_run(bool mend);
extern char fsck_text[8192];

/* kernel_in.c: the kernel's recovery of the memory disk, stopped after so many writes if that is not
 * negative. 0; 1: it was stopped; -errno. */
int kernel_recover(int64_t cut_after);
extern char kernel_text[512];

/* check.c: the draw of this image */
uint64_t crash_random(uint64_t n);

#endif
