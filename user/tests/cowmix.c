/* cowmix.c - a random tree of processes that write to memory they inherited, and to memory they share.   (lab 5)
 *
 * Idea.       cowmix [SEED]. Four areas: initialised data, bss, private and shared anonymous memory. Each process writes to some
 *             pages, forks, writes again, and its parent then sees its own private pages as they were.
 */
#include <sys/mman.h>
#include "dice.h"
#include "say.h"

enum { PAGE = 4096, PAGES = 120, AREAS = 4 };

static char data[PAGES * PAGE] = { 1, 2, 3 }, bss[PAGES * PAGE];
static char *area[AREAS];

static unsigned
sum(int a)
{
	unsigned s = 0;

	for (int i = 0; i < PAGES; i++)
		s = s * 13 + *(unsigned *)(area[a] + i * PAGE) + (unsigned char)area[a][i * PAGE + PAGE - 1];
	return s;
}

static void
write_some(void)
{
	int from = roll(PAGES), n = 1 + roll(roll(3) ? 10 : PAGES), a = roll(AREAS);

	for (int i = from; i < PAGES && i < from + n; i++) {
		*(unsigned *)(area[a] + i * PAGE) += roll(1000);
		area[a][i * PAGE + PAGE - 1] = roll(256);
	}
}

/* The pages that both have: who writes first and who second must not matter. */
static int
live(int depth)
{
	int status = 0;

	for (int steps = 2 + roll(4); steps > 0; steps--) {
		write_some();
		if (depth > 0 && roll(3)) {
			int pid = fork();

			if (pid == 0)
				_exit(live(depth - 1) & 127);
			if (roll(2)) {
				area[0][roll(PAGES) * PAGE] ^= 1;
				area[1][roll(PAGES) * PAGE] ^= 2;
			}
			waitpid(pid, &status, 0);
			write_some();
			say("depth %d: child %d, ", depth, WEXITSTATUS(status));
			say("%x %x %x %x\n", sum(0), sum(1), sum(2), sum(3));
		}
		dice += steps;
	}
	return sum(0) + sum(1) + sum(2) + sum(3);
}

int
main(int argc, char **argv)
{
	const int rw = PROT_READ | PROT_WRITE;

	dice_seed(argc > 1 ? argv[1] : NULL);
	area[0] = data;
	area[1] = bss;
	area[2] = mmap(NULL, PAGES * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area[3] = mmap(NULL, PAGES * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return live(4) & 127;
}
