/* bench.c - what an operation costs, in ticks of the time-stamp counter.                    (lab 11)
 *
 * Idea.       Under `qemu -icount shift=0` a tick is one guest instruction, so the numbers are exact and repeat; `make bench`
 *             runs it so. Each row is the least of several batches: the first ones also pay for what is touched first.
 *
 * There is no host run: the numbers are the point.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCHES = 7, PAGES = 64 };

static int to_child[2], to_parent[2];
static char *area;

static uint64_t
ticks(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) :: "memory");
	return (uint64_t)hi << 32 | lo;
}

static void do_getppid(void) { syscall(SYS_getppid); }

static void
do_fork(void)
{
	int pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void
do_exec(void)
{
	static char *argv[] = { "true", NULL }, *envp[] = { NULL };
	int pid = fork();

	if (pid == 0) {
		execve("/bin/true", argv, envp);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void
do_pipe(void)
{
	char c = 0;

	write(to_child[1], &c, 1);
	read(to_parent[0], &c, 1);
}

static void
do_zero(void)
{
	static int fd = -1;
	char c;

	if (fd < 0)
		fd = open("/dev/zero", O_RDONLY);
	read(fd, &c, 1);
}

static void
do_open(void)
{
	close(open("/bin/true", O_RDONLY));
}

static void
do_stat(void)
{
	struct stat st;

	stat("/bin/true", &st);
}

static void
do_mmap(void)
{
	munmap(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
}

/* The least ticks per call of fn over some batches of n calls. */
static void
row(const char *name, void (*fn)(void), int n)
{
	uint64_t best = UINT64_MAX;

	for (int b = 0; b < BATCHES; b++) {
		uint64_t t = ticks();

		for (int i = 0; i < n; i++)
			fn();
		t = (ticks() - t) / n;
		if (t < best)
			best = t;
	}
	printf("%-24s %8lu\n", name, (unsigned long)best);
}

static void
touch(int step)
{
	for (int i = 0; i < PAGES; i += step)
		((volatile char *)area)[i * 4096] = 1;
}

/* First touches of fresh anonymous pages; every page, and far apart. */
static void
row_faults(void)
{
	uint64_t best = UINT64_MAX;

	for (int b = 0; b < BATCHES; b++) {
		uint64_t t;

		area = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		t = ticks();
		touch(1);
		t = (ticks() - t) / PAGES;
		if (t < best)
			best = t;
		munmap(area, PAGES * 4096);
	}
	printf("%-24s %8lu\n", "anonymous page fault", (unsigned long)best);
}

/* Writes to pages shared since a fork, in the child. */
static void
row_cow(void)
{
	uint64_t *result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t best = UINT64_MAX;

	area = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int b = 0; b < BATCHES; b++) {
		int pid;

		touch(1);
		pid = fork();
		if (pid == 0) {
			uint64_t t = ticks();

			touch(1);
			*result = (ticks() - t) / PAGES;
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		if (*result < best)
			best = *result;
	}
	printf("%-24s %8lu\n", "copy-on-write fault", (unsigned long)best);
}

static void
row_pipe(void)
{
	int pid;
	char c;

	pipe(to_child);
	pipe(to_parent);
	pid = fork();
	if (pid == 0) {
		close(to_child[1]);
		while (read(to_child[0], &c, 1) == 1)
			write(to_parent[1], &c, 1);
		_exit(0);
	}
	close(to_child[0]);
	row("pipe round trip", do_pipe, 100);
	close(to_child[1]);
	waitpid(pid, NULL, 0);
}

int
main(void)
{
	row("getppid", do_getppid, 1000);
	row("read 1 byte /dev/zero", do_zero, 500);
	row("stat", do_stat, 200);
	row("open+close", do_open, 200);
	row("mmap+munmap", do_mmap, 200);
	row_faults();
	row_cow();
	row_pipe();
	row("fork+exit+wait", do_fork, 50);
	row("fork+exec+exit+wait", do_exec, 30);
	printf("ok\n");
	return 0;
}
