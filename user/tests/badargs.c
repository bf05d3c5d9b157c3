/* badargs.c - wrong descriptors, pointers and numbers: the errors are Linux's.              (lab 8) */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include "show.h"

static void *volatile BAD = (void *)8, *volatile KERNEL = (void *)0xffffffff80100000;

int
main(void)
{
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("bad", O_RDWR | O_CREAT | O_TRUNC, 0644), zero = open("/dev/zero", O_RDONLY), p[2];
	struct iovec v = { (void *)8, 10 }, w = { edge, (size_t)-1 };
	struct termios t;

	munmap(edge + 4096, 4096);
	pipe(p);
	SHOW(read(-1, edge, 1));
	SHOW(read(9999, edge, 1));
	SHOW(read(zero, BAD, 1));
	SHOW(read(zero, KERNEL, 1));
	SHOW(read(zero, edge + 4090, 100));
	SHOW(write(fd, BAD, 1));
	SHOW(write(fd, KERNEL, 10));
	SHOW(write(fd, edge + 4090, 100));
	SHOW(write(p[1], edge + 4096, 10));
	SHOW(writev(fd, &v, 1));
	SHOW(writev(fd, &w, 1));
	SHOW(writev(fd, BAD, 1));
	SHOW(writev(fd, &v, -1));
	SHOW(open(BAD, O_RDONLY));
	SHOW(open(KERNEL, O_RDONLY));
	SHOW(stat(BAD, (struct stat *)edge));
	SHOW(stat(".", BAD));
	SHOW(stat(".", (struct stat *)(edge + 4090)));
	SHOW(fstat(9999, (struct stat *)edge));
	SHOW(syscall(SYS_getcwd, edge, 1));
	SHOW(syscall(SYS_getcwd, BAD, 100));
	SHOW(pipe(KERNEL));
	SHOW(dup(-1));
	SHOW(fcntl(fd, 12345));
	SHOW(ioctl(fd, TCGETS, &t));
	SHOW(ioctl(p[0], 0x1234, 0));
	SHOW(lseek(fd, 1ul << 63, SEEK_SET));
	SHOW(ftruncate(p[0], 0));
	SHOW(ftruncate(zero, 0));
	SHOW(fsync(p[0]));
	SHOW(mkdir(BAD, 0));
	SHOW(unlink(KERNEL));
	SHOW(readlink(".", edge, 10));
	SHOW(chdir("bad"));
	SHOW(fchdir(fd));
	SHOW(rmdir("/"));
	SHOW(unlink("/dev/null/x"));
	SHOW(nanosleep(BAD, NULL));
	SHOW(syscall(SYS_clock_gettime, 77, edge));
	SHOW(syscall(SYS_clock_gettime, 0, KERNEL));
	SHOW(syscall(SYS_nanosleep, &(struct timespec){ 0, 1000000000 }, NULL));
	SHOW(uname(BAD));
	SHOW(getrlimit(99, (struct rlimit *)edge));
	SHOW(syscall(SYS_wait4, -1, BAD, 0, NULL));
	SHOW(poll(BAD, 1, 0));
	SHOW(poll((struct pollfd *)edge, 100000000, 0));
	SHOW(syscall(SYS_getdents64, fd, edge, 100));
	SHOW(syscall(SYS_getdents64, open(".", O_RDONLY), edge, 1));
	SHOW(syscall(SYS_mmap, 0, 4096, 3, 2, fd, 7));
	SHOW(syscall(SYS_mprotect, 1, 4096, 0));
	SHOW(syscall(100000));
	SHOW(syscall(-1));
	SHOW(unlink("bad"));
	return 0;
}
