/* cwd.c - the current directory: chdir, fchdir, getcwd, and when it is removed.              (lab 7) */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "say.h"

static char start[4096], buf[4096];
static size_t length;            /* of start; 0 if that is the root */

/* Print the current directory as seen from where we began. */
static void
show(void)
{
	if (!getcwd(buf, sizeof buf))
		say("getcwd: %s\n", strerror(errno));
	else
		say("at start%s\n", strncmp(buf, start, length) == 0 ? buf + length : buf);
}

int
main(void)
{
	int fd, status;

	CHECK(getcwd(start, sizeof start) != NULL);
	CHECK(start[0] == '/');
	length = start[1] ? strlen(start) : 0;
	mkdir("cw", 0755);
	mkdir("cw/a", 0755);
	mkdir("cw/a/b", 0755);
	symlink("a/b", "cw/s");
	close(open("cw/f", O_CREAT | O_WRONLY, 0644));
	CALL(chdir("cw"));
	show();
	CALL(chdir("a/b"));
	show();
	CALL(chdir("../../s"));
	show();
	CALL(chdir("../.."));
	show();
	CALL(chdir("f"));
	CALL(chdir("none"));
	CALL(chdir(""));
	OK(fd = open("a", O_RDONLY));
	CALL(fchdir(fd));
	show();
	CALL(fchdir(99));
	CHECK(getcwd(buf, 2) == NULL && errno == ERANGE);
	if (fork() == 0) {                              /* a child has a directory of its own */
		chdir("b");
		_exit(0);
	}
	wait(&status);
	show();
	CALL(chdir("b"));
	CALL(rmdir("../b"));
	show();
	CALL(open("x", O_CREAT | O_RDWR, 0644));
	CALL(access(".", F_OK));
	CALL(access("..", F_OK));
	CALL(chdir(".."));
	show();
	CALL(chdir("/"));
	CHECK(getcwd(buf, sizeof buf) && strcmp(buf, "/") == 0);
	CALL(chdir(".."));
	CHECK(getcwd(buf, sizeof buf) && strcmp(buf, "/") == 0);
	CALL(chdir(start));
	unlink("cw/s");
	unlink("cw/f");
	rmdir("cw/a");
	CALL(rmdir("cw"));
	return 0;
}
