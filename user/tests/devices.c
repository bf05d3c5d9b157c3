/* devices.c - /dev/null zero full random urandom tty.                                        (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "say.h"

static unsigned char buf[4096], other[4096];

static int
differ(void)
{
	int n = 0;

	for (int i = 0; i < 4096; i++)
		n += buf[i] != other[i];
	return n > 3000;
}

int
main(void)
{
	static const char *const names[] = { "null", "zero", "full", "random", "urandom", "tty" };
	char path[32], *m;
	struct stat st;
	int fd, zero = 1;

	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof path, "/dev/%s", names[i]);
		if (stat(path, &st) < 0)
			say("%s: %s\n", path, strerror(errno));
		else
			say("%s: %d %u:%u\n", path, S_ISCHR(st.st_mode), major(st.st_rdev), minor(st.st_rdev));
	}
	fd = open("/dev/null", O_RDWR);
	CALL(write(fd, buf, 4096));
	CALL(read(fd, buf, 4096));
	CALL(lseek(fd, 100, SEEK_SET));
	CALL(ftruncate(fd, 0));
	fd = open("/dev/zero", O_RDWR);
	memset(buf, 1, sizeof buf);
	CALL(read(fd, buf, 4096));
	for (int i = 0; i < 4096; i++)
		zero &= buf[i] == 0;
	CHECK(zero);
	CALL(write(fd, buf, 10));
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED && m[5000] == 0);
	fd = open("/dev/full", O_RDWR);
	CALL(read(fd, buf, 10));
	CALL(write(fd, buf, 10));
	fd = open("/dev/urandom", O_RDONLY);
	CALL(read(fd, buf, 4096));
	CALL(read(fd, other, 4096));
	CHECK(differ());
	CALL(getrandom(buf, 256, 0));
	CALL(getrandom(other, 4096, GRND_NONBLOCK));
	CALL(read(fd, buf, 4096));
	CHECK(differ());
	CALL(getrandom(buf, 16, 0x1000));
	CALL(open("/dev/none", O_RDONLY));
	CALL(open("/dev/null/x", O_RDONLY));
	CALL(open("/dev/null", O_RDONLY | O_DIRECTORY));
	return 0;
}
