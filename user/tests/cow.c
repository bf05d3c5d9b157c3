/* cow.c - after a fork both sides see the old contents, and each only its own writes.       (lab 5) */
#include <sys/mman.h>
#include <sys/wait.h>
#include "show.h"

enum { PAGES = 300 };

static char bss[PAGES * 4096];
static char initialised[3 * 4096] = { 1, 2, 3 };

static int
sum(volatile char *p)
{
	int s = 0;

	for (int i = 0; i < PAGES; i++)
		s += p[i * 4096];
	return s;
}

int
main(void)
{
	int status, gate[2];
	char *shared, *anon;

	shared = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	anon = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < PAGES; i++)
		bss[i * 4096] = anon[i * 4096] = 1;
	(void)gate;
	if (fork() == 0) {
		for (int i = 0; i < PAGES; i += 2) {
			bss[i * 4096] = 3;
			anon[i * 4096] = 5;
			shared[i * 4096] = 7;
		}
		initialised[0] = 9;
		if (fork() == 0) {
			bss[4096] = 100;
			_exit(sum(bss) == 2 * PAGES + 99 ? 11 : 12);
		}
		wait(&status);
		_exit(sum(bss) == 2 * PAGES && sum(anon) == 3 * PAGES && WEXITSTATUS(status) == 11 ? 1 : 2);
	}
	wait(&status);
	SHOW(WEXITSTATUS(status));
	SHOW(sum(bss));
	SHOW(sum(anon));
	SHOW(sum(shared));
	SHOW(initialised[0]);
	for (int round = 0; round < 20; round++) {
		if (fork() == 0) {
			memset(bss, round, sizeof bss);
			_exit(bss[5000]);
		}
		wait(&status);
		if (WEXITSTATUS(status) != round)
			printf("round %d: %d\n", round, WEXITSTATUS(status));
	}
	SHOW(sum(bss));
	return 0;
}
