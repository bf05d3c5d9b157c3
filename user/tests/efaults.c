/* efaults.c - bad user pointers to many calls: EFAULT, and nothing half done.                (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include "say.h"

#define SYS(name, ...) report(#name, syscall(SYS_##name, __VA_ARGS__))

int
main(void)
{
	static const unsigned long bad[] = { 8, 0xffffffff80200000, 0x8000000000000000, 0x00007ffffffff000, -8ul };
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("ef.tmp", O_CREAT | O_RDWR | O_TRUNC, 0644), p[2];

	pipe(p);
	write(fd, "0123456789", 10);
	munmap(edge + 4096, 4096);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		unsigned long a = bad[i];

		SYS(open, a, O_RDONLY, 0);
		SYS(stat, a, edge);
		SYS(stat, ".", a);
		SYS(fstat, fd, a);
		lseek(fd, 0, SEEK_SET);
		SYS(read, fd, a, 10);
		SYS(write, fd, a, 10);
		SYS(pread64, fd, a, 10, 0);
		write(p[1], "x", 1);
		SYS(read, p[0], a, 1);
		read(p[0], edge, 1);
		SYS(write, p[1], a, 1);
		SYS(pipe, a);
		SYS(mkdir, a, 0755);
		SYS(unlink, a);
		SYS(rename, a, "x");
		SYS(rename, "ef.tmp", a);
		SYS(readlink, ".", a, 10);
		SYS(getcwd, a, 100);
		SYS(chdir, a);
		SYS(uname, a);
		SYS(nanosleep, a, 0);
		SYS(clock_gettime, CLOCK_MONOTONIC, a);
		SYS(writev, fd, a, 1);
		SYS(getdents64, fd, a, 100);
	}
	memset(edge, 'e', 4096);
	SYS(open, edge + 4090, O_RDONLY, 0);            /* a name that runs off the edge */
	SYS(write, fd, edge + 4000, 200);               /* what can be copied is, or nothing: but never more */
	lseek(fd, 0, SEEK_SET);
	SYS(read, fd, edge + 4096, 1);
	SYS(pipe, edge + 4092);
	SYS(uname, edge + 4000);
	SYS(write, 1, edge, 0);
	CALL(unlink("ef.tmp"));
	return 0;
}
