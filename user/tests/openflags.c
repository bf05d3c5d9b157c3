/* openflags.c - what open does for each flag, and refuses.                                   (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

int
main(void)
{
	int fd;
	char buf[16];

	CALL(mkdir("of", 0755));
	CALL(chdir("of"));
	CALL(open("none", O_RDONLY));
	CALL(open("", O_RDONLY));
	CALL(open("none/x", O_CREAT | O_RDWR, 0644));
	OK(fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	CALL(write(fd, "abcdef", 6));
	CALL(close(fd));
	CALL(open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	CALL(open("f/", O_RDONLY));
	CALL(open("f/x", O_RDONLY));
	CALL(open("f", O_RDONLY | O_DIRECTORY));
	CALL(open(".", O_RDWR));
	CALL(open(".", O_WRONLY));
	CALL(open(".", O_RDONLY | O_CREAT, 0644));
	CALL(open("new/", O_RDWR | O_CREAT, 0644));
	OK(fd = open(".", O_RDONLY));
	CALL(read(fd, buf, 1));
	CALL(write(fd, buf, 1));
	close(fd);

	OK(fd = open("f", O_RDONLY));
	CALL(write(fd, "x", 1));
	CALL(read(fd, buf, 10));
	CALL(read(fd, buf, 10));
	close(fd);
	OK(fd = open("f", O_WRONLY));
	CALL(read(fd, buf, 1));
	CALL(write(fd, "XY", 2));
	close(fd);
	OK(fd = open("f", O_RDWR | O_APPEND));
	CALL(lseek(fd, 0, SEEK_SET));
	CALL(write(fd, "end", 3));
	CALL(lseek(fd, 0, SEEK_CUR));
	CALL(lseek(fd, 0, SEEK_SET));
	CALL(read(fd, buf, 16));
	say("[%.9s]\n", buf);
	CHECK((fcntl(fd, F_GETFL) & ~0100000) == (O_RDWR | O_APPEND));
	close(fd);
	OK(fd = open("f", O_RDWR | O_TRUNC));
	CALL(lseek(fd, 0, SEEK_END));
	close(fd);
	CALL(symlink("f", "link"));
	CALL(symlink("fresh", "dangling"));
	CALL(open("link", O_RDONLY | O_NOFOLLOW));
	CALL(open("dangling", O_RDONLY));
	CALL(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
	OK(fd = open("dangling", O_RDWR | O_CREAT, 0644));
	CALL(access("fresh", F_OK));
	OK(fd = open("f", O_PATH));
	CALL(read(fd, buf, 1));
	close(fd);
	unlink("f");
	unlink("fresh");
	unlink("link");
	unlink("dangling");
	CALL(chdir(".."));
	CALL(rmdir("of"));
	return 0;
}
