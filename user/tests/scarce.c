/* scarce.c - many processes that do everything that takes memory, and go on when it is refused.           (lab 5)
 *
 * Idea.       scarce [ROUNDS]. Workers fork, map, touch, move, split and exec until something fails; a failure is an answer,
 *             or the end of the worker. The master counts the free memory before and after: nothing may be lost.
 *
 * There is no host run.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include "say.h"

enum { WORKERS = 6, PAGES = 64 };

static unsigned dice;

static unsigned
roll(unsigned n)
{
	dice = dice * 1103515245 + 12345;
	return (dice >> 16) % n;
}

static void
touch(char *p, size_t n)
{
	for (size_t i = 0; p != MAP_FAILED && i < n; i += 4096)
		p[i]++;
}

static void
nested(int depth)
{
	int pid = depth > 0 ? fork() : -1;

	if (pid == 0) {
		nested(depth - 1);
		if (roll(2))
			execl("/tests/scarce", "scarce", "-", NULL);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void
worker(unsigned seed)
{
	size_t size = PAGES * 4096;
	char *p, *q;

	dice = seed;
	for (int i = 0; i < 20; i++) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, (roll(2) ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
		touch(p, size);
		nested(roll(4));
		if (p == MAP_FAILED)
			continue;
		mprotect(p + 4096 * roll(PAGES), 4096, PROT_READ);
		q = mremap(p, size / 2, size * 4, MREMAP_MAYMOVE);
		nested(roll(3));
		if (q != MAP_FAILED)
			munmap(q + 4096 * roll(PAGES), size);
		sbrk(4096 * (int)roll(8) - 8192);
		munmap(p, size);
	}
	_exit(0);
}

static long
free_kib(void)
{
	struct sysinfo si;

	sysinfo(&si);
	return si.freeram * si.mem_unit / 1024;
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 && argv[1][0] != '-' ? atoi(argv[1]) : argc > 1 ? 0 : 5;
	long before = 0, after;

	for (int r = 0; r < rounds; r++) {
		for (int w = 0; w < WORKERS; w++) {
			int pid = fork();

			if (pid == 0)
				worker(r * WORKERS + w + 1);
		}
		while (waitpid(-1, NULL, 0) > 0)
			;
		if (r == 0)
			before = free_kib();
	}
	after = free_kib();
	if (rounds)
		say(after > before - 512 ? "ok\n" : "%ld KiB free, later %ld\n", before, after);
	return 0;
}
