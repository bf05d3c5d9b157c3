/* renames.c - rename over what is there and what is not, files and directories.              (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "say.h"

static void
make(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);

	write(fd, text, strlen(text));
	close(fd);
}

static void
show(const char *path)
{
	char buf[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		say("%s: %s\n", path, strerror(errno));
		return;
	}
	read(fd, buf, sizeof buf - 1);
	close(fd);
	say("%s: [%s]\n", path, buf);
}

int
main(void)
{
	struct stat st;
	int fd;
	char c;

	mkdir("rn", 0755);
	chdir("rn");
	make("a", "A");
	make("b", "B");
	mkdir("d", 0755);
	mkdir("e", 0755);
	mkdir("d/sub", 0755);
	CALL(rename("a", "c"));
	show("a");
	show("c");
	fd = open("b", O_RDONLY);
	CALL(rename("c", "b"));
	show("b");
	CALL(read(fd, &c, 1));
	say("the old one still says %c\n", c);
	CALL(fstat(fd, &st));
	say("links of the old one %ld\n", (long)st.st_nlink);
	close(fd);
	CALL(rename("b", "b"));
	CALL(rename("none", "x"));
	CALL(rename("b", "d"));
	CALL(rename("d", "b"));
	CALL(rename("d", "e"));
	CALL(access("e/sub", F_OK));
	CALL(rename("e", "e/sub/x"));
	CALL(rename("e", "e"));
	mkdir("f", 0755);
	CALL(rename("f", "e"));
	CALL(rename("e/sub", "f/moved"));
	CALL(stat("e", &st));
	say("links of e %ld\n", (long)st.st_nlink);
	CALL(stat("f", &st));
	say("links of f %ld\n", (long)st.st_nlink);
	CALL(access("f/moved/../../b", F_OK));
	CALL(rename("b", "f/moved/deep"));
	show("f/moved/deep");
	CALL(rename(".", "x"));
	CALL(rename("f/.", "x"));
	CALL(rename("f/moved/deep", "none/x"));
	CALL(rename("f/moved/deep", "f/moved/deep/x"));
	make("h1", "H");
	link("h1", "h2");
	CALL(rename("h1", "h2"));                       /* two names of one file: nothing happens */
	CALL(access("h1", F_OK));
	CALL(symlink("h1", "s"));
	CALL(rename("s", "t"));
	CALL(lstat("t", &st));
	CHECK(S_ISLNK(st.st_mode));
	make("p", "P");
	CALL(rename("p", "t"));                         /* replaces the link, not what it points to */
	show("t");
	show("h1");
	make("q", "Q");
	CALL(renameat2(AT_FDCWD, "q", AT_FDCWD, "t", RENAME_NOREPLACE));
	CALL(renameat2(AT_FDCWD, "q", AT_FDCWD, "r", RENAME_NOREPLACE));
	unlink("r");
	unlink("t");
	unlink("h1");
	unlink("h2");
	unlink("f/moved/deep");
	rmdir("f/moved");
	rmdir("f");
	rmdir("e");
	chdir("..");
	CALL(rmdir("rn"));
	return 0;
}
