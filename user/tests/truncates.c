/* truncates.c - cutting and extending; what was cut off comes back as zeros.                 (lab 7) */
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

static char buf[12000];

static long
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

static int
all(int value, int from, int to)
{
	for (int i = from; i < to; i++) {
		if (buf[i] != value)
			return 0;
	}
	return 1;
}

int
main(void)
{
	int fd, other;

	OK(fd = open("trunc.tmp", O_RDWR | O_CREAT | O_TRUNC, 0644));
	memset(buf, 1, sizeof buf);
	CALL(write(fd, buf, sizeof buf));
	CALL(ftruncate(fd, 5000));
	CALL(size_of("trunc.tmp"));
	CALL(lseek(fd, 0, SEEK_CUR));
	CALL(ftruncate(fd, 12000));
	CALL(pread(fd, buf, 12000, 0));
	CHECK(all(1, 0, 5000) && all(0, 5000, 12000));
	CALL(truncate("trunc.tmp", 10));
	CALL(pread(fd, buf, 100, 0));
	CALL(write(fd, "x", 1));                        /* at 12000, as the offset stayed there */
	CALL(size_of("trunc.tmp"));
	CALL(ftruncate(fd, 0));
	CALL(size_of("trunc.tmp"));
	CALL(ftruncate(fd, -1));
	CALL(truncate("trunc.tmp", -1));
	CALL(truncate("none", 1));
	CALL(truncate(".", 1));
	OK(other = open("trunc.tmp", O_RDONLY));
	CALL(ftruncate(other, 5));
	CALL(ftruncate(99, 5));
	CALL(ftruncate(fd, 3000000));
	CALL(pread(fd, buf, 10, 2999995));
	CALL(unlink("trunc.tmp"));
	CALL(ftruncate(fd, 1));
	return 0;
}
