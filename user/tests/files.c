/* files.c - open, read, write, seek, truncate, holes, append; values and errors.            (lab 8) */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "show.h"

static char buf[9000];

static unsigned
sum(const char *p, long n)
{
	unsigned s = 0;

	for (long i = 0; i < n; i++)
		s = s * 31 + (unsigned char)p[i];
	return s;
}

static long
size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) < 0 ? -1 : (long)st.st_size;
}

int
main(void)
{
	struct iovec v[3] = { { "one ", 4 }, { "", 0 }, { "two", 3 } };
	struct stat st;
	int fd, fd2;

	unlink("f");
	SHOW(open("f", O_RDONLY));
	SHOW(fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
	SHOW(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
	SHOW(write(fd, "hello, world", 12));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(read(fd, buf, 10));
	SHOW(lseek(fd, -5, SEEK_END));
	SHOW(read(fd, buf, 10));
	printf("%.5s\n", buf);
	SHOW(lseek(fd, -100, SEEK_SET));
	SHOW(lseek(fd, 0, 77));
	SHOW(pwrite(fd, "HELLO", 5, 0));
	SHOW(pread(fd, buf, 12, 0));
	printf("%.12s\n", buf);
	SHOW(pread(fd, buf, 12, -1));
	SHOW(pwrite(fd, "far", 3, 100000));
	SHOW(size_of("f"));
	SHOW(pread(fd, buf, 9000, 50000));
	SHOW(sum(buf, 9000));
	SHOW(ftruncate(fd, 5));
	SHOW(size_of("f"));
	SHOW(ftruncate(fd, 50));
	SHOW(pread(fd, buf, 100, 0));
	SHOW(sum(buf, 50));
	SHOW(ftruncate(fd, -1));
	SHOW(writev(fd, v, 3));
	SHOW(fstat(fd, &st));
	SHOW(st.st_mode);
	SHOW(st.st_nlink);
	SHOW(st.st_size);
	HOLDS(st.st_ino != 0 && st.st_dev != 0);
	fd2 = open("f", O_WRONLY | O_APPEND);
	SHOW(lseek(fd2, 0, SEEK_SET));
	SHOW(write(fd2, "end", 3));
	SHOW(lseek(fd2, 0, SEEK_CUR) == size_of("f"));
	SHOW(read(fd2, buf, 1));
	SHOW(close(fd2));
	SHOW(close(fd2));
	SHOW(write(fd2, "x", 1));
	SHOW(unlink("f"));
	SHOW(pread(fd, buf, 5, 0));
	printf("%.5s\n", buf);
	SHOW(close(fd));
	SHOW(size_of("f"));
	for (int i = 0; i < 9000; i++)
		buf[i] = i * 7;
	fd = open("big", O_RDWR | O_CREAT | O_TRUNC, 0644);
	for (int i = 0; i < 300; i++)
		if (write(fd, buf, 8999) != 8999)
			printf("write %d failed\n", i);
	SHOW(size_of("big"));
	lseek(fd, 0, SEEK_SET);
	unsigned s = 0;
	for (long n; (n = read(fd, buf, 7777)) > 0; )
		s = s * 17 + sum(buf, n);
	SHOW(s);
	SHOW(fsync(fd));
	SHOW(ftruncate(fd, 4097));
	SHOW(ftruncate(fd, 100000));
	SHOW(pread(fd, buf, 9000, 4090));
	SHOW(sum(buf, 9000));
	close(fd);
	fd = open("huge", O_RDWR | O_CREAT | O_TRUNC, 0644);
	SHOW(pwrite(fd, "beyond", 6, 5000000000));
	SHOW(size_of("huge"));
	SHOW(pread(fd, buf, 10, 4999999998));
	SHOW(sum(buf, 8));
	close(fd);
	SHOW(unlink("huge"));
	SHOW(unlink("big"));
	SHOW(open(".", O_RDWR));
	SHOW(open("nodir/x", O_RDWR | O_CREAT, 0644));
	SHOW(read(0, (char *)8, 0));
	return 0;
}
