/* dirs.c - making and removing directories: every refusal has its own error.                 (lab 7) */
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

static long
links(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (long)st.st_nlink;
}

int
main(void)
{
	CALL(mkdir("dt", 0755));
	CALL(mkdir("dt", 0755));
	CALL(mkdir("dt/", 0755));
	CALL(mkdir("dt/a/b", 0755));
	CALL(mkdir("dt/a/", 0755));
	CALL(mkdir("dt/a/b", 0755));
	CALL(mkdir("dt/a/b/..", 0755));
	CALL(mkdir("dt/a/.", 0755));
	CALL(mkdir("/", 0755));
	CALL(mkdir("", 0755));
	CALL(close(open("dt/file", O_CREAT | O_WRONLY, 0644)));
	CALL(mkdir("dt/file", 0755));
	CALL(mkdir("dt/file/x", 0755));
	CALL(access("dt/a/b/../../file", F_OK));
	CALL(access("dt/none/../file", F_OK));
	CALL(access("dt/file/.", F_OK));
	CALL(access("dt//a///b/.", F_OK));
	CALL(rmdir("dt"));
	CALL(rmdir("dt/a"));
	CALL(rmdir("dt/file"));
	CALL(rmdir("dt/none"));
	CALL(rmdir("dt/a/b/."));
	CALL(rmdir("dt/a/b/.."));
	CALL(rmdir("/"));
	CALL(rmdir(""));
	CALL(unlink("dt/a"));
	CALL(unlink("dt/none"));
	CALL(unlink("dt/file/"));
	CALL(unlink(""));
	CALL(links("dt/a/b"));
	CALL(links("dt/a"));
	CALL(links("dt"));
	CALL(rmdir("dt/a/b/"));
	CALL(links("dt/a"));
	CALL(rmdir("dt/a"));
	CALL(links("dt"));
	CALL(unlink("dt/file"));
	CALL(symlink("dt", "dtlink"));
	CALL(rmdir("dtlink"));
	CALL(mkdir("dtlink", 0755));
	CALL(unlink("dtlink"));
	CALL(rmdir("dt"));
	CALL(access("dt", F_OK));
	return 0;
}
