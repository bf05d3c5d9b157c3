/* large.c - a directory of 10,000 names, a file of more than 4 GiB that is nearly all hole.                  (lab 8)
 *
 * Idea.       All names are links to one file, so that the disk needs no more inodes than it has. Every third is removed while
 *             the directory is being read, as rm -r would.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "say.h"

#define NAMES 10000
#define GIB (1l << 30)

static char seen[NAMES];

static const char *
name_of(int i)
{
	static char name[64];

	snprintf(name, sizeof name, "large.d/a rather long name, number %d", i);
	return name;
}

/* Read the directory; remove: unlink every name that 3 divides as it comes. Returns how many names there were. */
static int
scan(bool remove)
{
	DIR *d = opendir("large.d");
	int n = 0;

	memset(seen, 0, sizeof seen);
	for (struct dirent *e; d && (e = readdir(d));) {
		char *number = strrchr(e->d_name, ' ');
		int i = number ? atoi(number) : -1;

		if (i < 0 || i >= NAMES || seen[i]++)
			continue;
		n++;
		if (remove && i % 3 == 0 && unlink(name_of(i)) < 0)
			say("unlink %d: %s\n", i, strerror(errno));
	}
	if (d)
		closedir(d);
	return n;
}

static void
directory(void)
{
	struct stat st;
	int bad = 0;

	CALL(mkdir("large.d", 0755));
	CALL(close(open("large.d/first", O_CREAT | O_WRONLY, 0644)));
	for (int i = 0; i < NAMES; i++)
		bad += link("large.d/first", name_of(i)) < 0;
	say("links that failed: %d\n", bad);
	stat("large.d/first", &st);
	say("links: %d\n", (int)st.st_nlink);
	say("names: %d\n", scan(false));
	say("names while every third is removed: %d\n", scan(true));
	say("names left: %d\n", scan(false));
	for (int i = 0; i < NAMES; i++)
		bad += (stat(name_of(i), &st) == 0) != (i % 3 != 0);
	say("looked up wrongly: %d\n", bad);
	for (int i = 0; i < NAMES; i++)
		bad += i % 3 != 0 && unlink(name_of(i)) < 0;
	say("unlinks that failed: %d\n", bad);
	CALL(rmdir("large.d"));
	CALL(unlink("large.d/first"));
	CALL(rmdir("large.d"));
}

static void
file(void)
{
	int fd = open("large.f", O_CREAT | O_TRUNC | O_RDWR, 0644);
	struct stat st;
	char c = 1;

	CALL(pwrite(fd, "start", 5, 0));
	CALL(pwrite(fd, "far", 3, 5 * GIB - 1));
	CALL(lseek(fd, 0, SEEK_END));
	CALL(pread(fd, &c, 1, 4 * GIB + 12345));
	say("in the hole: %d\n", c);
	CALL(pread(fd, &c, 1, 5 * GIB));
	say("behind it: %c\n", c);
	CALL(fsync(fd));
	fstat(fd, &st);
	say("size %ld, few blocks: %s\n", (long)st.st_size, st.st_blocks < 100 ? "yes" : "NO");
	CALL(ftruncate(fd, 4 * GIB + 1));
	CALL(ftruncate(fd, 5 * GIB + 2));
	CALL(pread(fd, &c, 1, 5 * GIB));
	say("where it was: %d\n", c);
	CALL(close(fd));
	CALL(unlink("large.f"));
}

int
main(void)
{
	directory();
	file();
	return 0;
}
