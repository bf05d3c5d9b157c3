/* fsck_in.c - fsck.eclipsefs as a function: its own source, speaking into a buffer, on the memory disk.
 *
 * Idea.       The tool is compiled as it is, with the few library calls that leave the process renamed.
 * Interface.  fsck_run().
 * Invariants. None.  Locks. None.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "grade/crash/memdisk.h"

char fsck_text[8192];

static void
say_more(const char *fmt, va_list ap)
{
	size_t used = strlen(fsck_text);
	vsnprintf(fsck_text + used, sizeof(fsck_text) - used, fmt, ap);
}

static int __attribute__((format(printf, 1, 2)))
text_printf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say_more(fmt, ap);
	va_end(ap);
	return 0;
}

static int
text_vprintf(const char *fmt, va_list ap)
{
	say_more(fmt, ap);
	return 0;
}

static int
text_fsync(int fd)
{
	(void)fd;
	return 0;
}

#define printf(...) text_printf(__VA_ARGS__)
#define vprintf(f, ap) text_vprintf(f, ap)
#define puts(s) text_printf("%s\n", s)
#define fsync(fd) text_fsync(fd)
#define main fsck_main
int fsck_main(int argc, char **argv);
#include "fs/eclipsefs/host/fsck.c"

/* Check the memory disk; mend: as -y, else as -n. */
int
fsck_run(bool mend)
{
	struct check *c = xalloc(sizeof(*c));
	fsck_text[0] = 0;
	image_open(&c->im, "disk", 0, 0, IMAGE_FILESYSTEM);
	c->mend = mend;
	int status = check_run(c);
	free(c->log.images);
	free(c);
	return status;
}
