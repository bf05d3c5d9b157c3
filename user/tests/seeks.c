/* seeks.c - offsets, holes, pread and pwrite.                                                (lab 7) */
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

static char buf[20000];

int
main(void)
{
	struct stat st;
	int fd, zero = 1;

	OK(fd = open("seeks.tmp", O_RDWR | O_CREAT | O_TRUNC, 0644));
	CALL(write(fd, "begin", 5));
	CALL(lseek(fd, 10000, SEEK_SET));
	CALL(write(fd, "middle", 6));
	CALL(lseek(fd, 1000000, SEEK_CUR));
	CALL(write(fd, "end", 3));
	CALL(fstat(fd, &st));
	say("size %ld\n", (long)st.st_size);
	CALL(pread(fd, buf, sizeof buf, 0));
	CHECK(memcmp(buf, "begin", 5) == 0 && memcmp(buf + 10000, "middle", 6) == 0);
	for (int i = 5; i < 10000; i++)
		zero &= buf[i] == 0;
	for (int i = 10006; i < 20000; i++)
		zero &= buf[i] == 0;
	CHECK(zero);
	CALL(lseek(fd, 0, SEEK_CUR));
	CALL(lseek(fd, -3, SEEK_END));
	CALL(read(fd, buf, 100));
	CALL(read(fd, buf, 100));
	CALL(lseek(fd, -1, SEEK_SET));
	CALL(lseek(fd, -2000000, SEEK_CUR));
	CALL(lseek(fd, 0, 77));
	CALL(lseek(99, 0, SEEK_SET));
	CALL(lseek(fd, 5000000, SEEK_SET));
	CALL(read(fd, buf, 100));
	CALL(fstat(fd, &st));
	say("size %ld\n", (long)st.st_size);
	CALL(pwrite(fd, "PWRITE", 6, 4093));
	CALL(lseek(fd, 0, SEEK_CUR));
	CALL(pread(fd, buf, 10, 4090));
	CHECK(memcmp(buf, "\0\0\0PWRITE\0", 10) == 0);
	CALL(pread(fd, buf, 10, -1));
	CALL(pwrite(fd, buf, 10, -1));
	CALL(pread(fd, buf, 10, 1010009));
	CALL(pread(fd, buf, 10, 1010010));
	CALL(pwrite(fd, "x", 1, 5000000000l));          /* past 4 GiB */
	CALL(lseek(fd, 0, SEEK_END));
	CALL(pread(fd, buf, 10, 4999999995l));
	CHECK(memcmp(buf, "\0\0\0\0\0x", 6) == 0);
	CALL(unlink("seeks.tmp"));
	return 0;
}
