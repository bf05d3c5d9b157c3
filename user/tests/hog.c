/* hog.c - who takes all the memory ends, not those who ask for a page at that moment.                    (lab 5)
 *
 * Idea.       A hog maps and touches, and keeps everything. Its neighbours, small, map and touch and unmap all the time: they
 *             find memory short, too, but must live.
 *
 * There is no host run.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "say.h"

enum { NEIGHBOURS = 4, SIZE = 64 * 4096 };

static volatile int *over;

static void
neighbour(void)
{
	while (!*over) {
		char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (int i = 0; p != MAP_FAILED && i < SIZE; i += 4096)
			p[i] = 1;
		munmap(p, SIZE);
	}
	_exit(7);
}

static void
hog(void)
{
	for (;;) {
		char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (int i = 0; p != MAP_FAILED && i < SIZE; i += 4096)
			p[i] = 1;
	}
}

int
main(void)
{
	int pid[NEIGHBOURS], alive = 0, status, victim;

	over = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*over = 0;
	for (int i = 0; i < NEIGHBOURS; i++)
		if ((pid[i] = fork()) == 0)
			neighbour();
	for (int round = 0; round < 3; round++) {
		if ((victim = fork()) == 0)
			hog();
		waitpid(victim, &status, 0);
		say("hog: %s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? "killed" : "not killed");
	}
	*over = 1;
	for (int i = 0; i < NEIGHBOURS; i++)
		alive += waitpid(pid[i], &status, 0) == pid[i] && WIFEXITED(status) && WEXITSTATUS(status) == 7;
	say(alive == NEIGHBOURS ? "ok\n" : "%d of %d neighbours lived\n", alive, NEIGHBOURS);
	return 0;
}
