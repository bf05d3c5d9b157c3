/* mapfile.c - files in memory: private and shared mappings agree with read and write.       (lab 8) */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "show.h"

static char buf[10000];

int
main(void)
{
	int fd = open("map", O_RDWR | O_CREAT | O_TRUNC, 0644), status;
	char *s, *s2, *p;

	for (int i = 0; i < 10000; i++)
		buf[i] = 'a' + i % 26;
	write(fd, buf, 10000);
	s = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	s2 = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
	p = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	HOLDS(s != MAP_FAILED && p != MAP_FAILED && s2 != MAP_FAILED);
	SHOW(memcmp(s, buf, 10000));
	SHOW(memcmp(s2, buf + 4096, 4096));
	SHOW(s[10000] + s[12287]);
	SHOW(pwrite(fd, "WRITTEN", 7, 5000));
	printf("%.7s %.7s\n", s + 5000, p + 5000);
	memcpy(s + 6000, "SHARED", 6);
	SHOW(pread(fd, buf, 6, 6000));
	printf("%.6s %.6s\n", buf, s2 + 6000 - 4096);
	p[0] = '!';
	SHOW(pread(fd, buf, 1, 0));
	SHOW(buf[0]);
	fflush(stdout);
	if (fork() == 0) {
		memcpy(s + 7000, "CHILD", 5);
		p[1] = '?';
		_exit(p[0]);
	}
	wait(&status);
	SHOW(WEXITSTATUS(status));
	printf("%.5s %c\n", s + 7000, p[1]);
	SHOW(msync(s, 12288, MS_SYNC));
	SHOW(munmap(s2, 4096));
	SHOW(close(fd));
	s[20] = '#';
	fd = open("map", O_RDONLY);
	SHOW(pread(fd, buf, 1, 20));
	SHOW(buf[0]);
	HOLDS(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	HOLDS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	HOLDS(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED && errno == EINVAL);
	SHOW(truncate("map", 4096));
	fflush(stdout);
	if (fork() == 0)
		_exit(s[8192]);
	wait(&status);
	SHOW(status & 0x7f);
	SHOW(unlink("map"));
	SHOW(s[20]);
	return 0;
}
