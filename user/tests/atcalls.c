/* atcalls.c - calls relative to an open directory.                                           (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "say.h"

int
main(void)
{
	struct stat st;
	char buf[64];
	int dir, fd;

	mkdir("at", 0755);
	OK(dir = open("at", O_RDONLY | O_DIRECTORY));
	CALL(mkdirat(dir, "sub", 0755));
	OK(fd = openat(dir, "sub/f", O_CREAT | O_RDWR, 0644));
	CALL(write(fd, "hi", 2));
	CALL(fstatat(dir, "sub/f", &st, 0));
	say("size %ld\n", (long)st.st_size);
	CALL(openat(fd, "x", O_RDONLY));
	CALL(openat(99, "x", O_RDONLY));
	OK(openat(99, "/dev/null", O_RDONLY));          /* absolute: the directory does not matter */
	OK(openat(AT_FDCWD, "at/sub/f", O_RDONLY));
	CALL(symlinkat("sub/f", dir, "s"));
	CALL(readlinkat(dir, "s", buf, sizeof buf));
	CALL(linkat(dir, "s", dir, "hard", 0));
	CALL(linkat(dir, "s", dir, "hard2", AT_SYMLINK_FOLLOW));
	fstatat(dir, "hard", &st, AT_SYMLINK_NOFOLLOW);
	CHECK(S_ISLNK(st.st_mode));
	fstatat(dir, "hard2", &st, AT_SYMLINK_NOFOLLOW);
	CHECK(S_ISREG(st.st_mode) && st.st_nlink == 2);
	CALL(renameat(dir, "hard2", AT_FDCWD, "at/moved"));
	CALL(faccessat(dir, "moved", F_OK, 0));
	CALL(unlinkat(dir, "sub", 0));
	CALL(unlinkat(dir, "sub", AT_REMOVEDIR));
	CALL(unlinkat(dir, "moved", AT_REMOVEDIR));
	CALL(unlinkat(dir, "moved", 0));
	CALL(unlinkat(dir, "hard", 0));
	CALL(unlinkat(dir, "s", 0));
	CALL(unlinkat(dir, "sub/f", 0));
	CALL(unlinkat(dir, "sub", AT_REMOVEDIR));
	CALL(unlinkat(dir, "sub", 0x8000));
	CALL(rmdir("at"));
	return 0;
}
