/* links.c - hard links, symbolic links, loops of them.                                       (lab 7) */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "say.h"

static char target[5000], buf[5000];

int
main(void)
{
	struct stat a, b;
	char name[32];
	int fd;

	mkdir("ln", 0755);
	chdir("ln");
	fd = open("f", O_CREAT | O_RDWR, 0644);
	write(fd, "text", 4);
	CALL(link("f", "g"));
	CALL(link("f", "g"));
	CALL(link("none", "h"));
	CALL(link(".", "h"));
	CALL(link("f", "none/h"));
	stat("f", &a);
	stat("g", &b);
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_nlink == 2);
	CALL(unlink("f"));
	stat("g", &b);
	CHECK(b.st_nlink == 1 && b.st_size == 4);
	CALL(symlink("g", "s"));
	CALL(symlink("g", "s"));
	CALL(symlink("", "empty"));
	CALL(readlink("s", buf, sizeof buf));
	CALL(readlink("g", buf, sizeof buf));
	CALL(readlink("none", buf, sizeof buf));
	CALL(readlink("s", buf, 0));
	lstat("s", &a);
	CHECK(S_ISLNK(a.st_mode) && a.st_size == 1 && (a.st_mode & 0777) == 0777);
	stat("s", &b);
	CHECK(S_ISREG(b.st_mode));
	CALL(link("s", "t"));                           /* links the link itself */
	lstat("t", &b);
	CHECK(a.st_ino == b.st_ino);
	CALL(symlink("loop2", "loop1"));
	CALL(symlink("loop1", "loop2"));
	CALL(open("loop1", O_RDONLY));
	CALL(stat("loop1", &a));
	CALL(lstat("loop1", &a));
	CALL(symlink(".", "here"));
	CALL(access("here/here/here/g", F_OK));
	CALL(symlink("s/", "slash"));
	CALL(access("slash", F_OK));
	CALL(symlink("../ln/g", "up"));
	CALL(access("up", F_OK));
	for (int i = 0; i < 45; i++) {                  /* a chain: 40 links are followed, no more */
		snprintf(name, sizeof name, "c%d", i);
		snprintf(buf, sizeof buf, i ? "c%d" : "g", i - 1);
		symlink(buf, name);
	}
	CALL(access("c38", F_OK));
	CALL(access("c39", F_OK));
	CALL(access("c40", F_OK));
	memset(target, 'x', 4095);
	CALL(symlink(target, "long"));
	CALL(readlink("long", buf, sizeof buf));
	CALL(access("long", F_OK));
	target[4095] = 'y';
	CALL(symlink(target, "longer"));
	for (int i = 0; i < 45; i++) {
		snprintf(name, sizeof name, "c%d", i);
		unlink(name);
	}
	unlink("long");
	unlink("slash");
	unlink("up");
	unlink("here");
	unlink("loop1");
	unlink("loop2");
	unlink("s");
	unlink("t");
	unlink("g");
	chdir("..");
	CALL(rmdir("ln"));
	return 0;
}
