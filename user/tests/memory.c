/* memory.c - brk, mmap, munmap, mprotect, mremap and a stack that grows: values and errors. (lab 5) */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "show.h"

static volatile int sink;

static int
deep(int n)
{
	volatile char frame[2000];

	frame[0] = n;
	frame[1999] = n;
	return n == 0 ? 0 : deep(n - 1) + (frame[0] == frame[1999]);
}

/* The status of a child that touches p. */
static int
touch(char *p, int writing)
{
	int status, pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (writing)
			*(volatile char *)p = 1;
		else
			sink = *(volatile char *)p;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status & 0x7f;
}

int
main(void)
{
	char *a, *b, *brk0;
	long page = 4096;

	a = mmap(NULL, 10 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HOLDS(a != MAP_FAILED && ((uintptr_t)a & 4095) == 0);
	SHOW(a[0] + a[10 * page - 1]);
	memset(a, 1, 10 * page);
	SHOW(mprotect(a + 2 * page, page, PROT_READ));
	SHOW(touch(a + 2 * page, 0));
	SHOW(touch(a + 2 * page, 1));
	SHOW(mprotect(a + 3 * page, page, PROT_NONE));
	SHOW(touch(a + 3 * page, 0));
	SHOW(munmap(a + 5 * page, 2 * page));
	SHOW(touch(a + 5 * page, 0));
	SHOW(touch(a + 7 * page, 1));
	SHOW(munmap(a + 5 * page, 2 * page));
	SHOW(mprotect(a + 5 * page, page, PROT_READ));
	SHOW(munmap(a + 1, page));
	SHOW(munmap(a, 0));
	HOLDS(mmap(a + 5 * page, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == a + 5 * page);
	SHOW(a[5 * page]);
	HOLDS(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	HOLDS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, 55, 0) == MAP_FAILED && errno == EBADF);
	HOLDS(mmap(NULL, page, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	HOLDS(mmap((char *)(1ul << 47), page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == ENOMEM);
	HOLDS(mmap(NULL, 1ul << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
	b = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(b, 7, 4 * page);
	b = mremap(b, 4 * page, 100 * page, MREMAP_MAYMOVE);
	HOLDS(b != MAP_FAILED);
	SHOW(b[4 * page - 1] + b[4 * page] + b[100 * page - 1]);
	SHOW(munmap(b, 100 * page));
	brk0 = sbrk(0);
	HOLDS(sbrk(1000000) == brk0);
	memset(brk0, 3, 1000000);
	SHOW(brk0[999999]);
	HOLDS(sbrk(-1000000) == brk0 + 1000000);
	HOLDS(sbrk(0) == brk0);
	HOLDS(sbrk(500000) == brk0);
	SHOW(brk0[8192]);
	SHOW(deep(3000));
	SHOW(touch((char *)1, 0));
	return 0;
}
