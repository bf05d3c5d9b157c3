/* forkmix.c - a random tree of processes, each with memory of its own.                       (lab 4)
 *
 * Idea.       forkmix [SEED]. A process changes its cells, forks children that do the same from what they inherit, one after
 *             the other or several at once, and adds up what they return. Only who runs alone prints.
 */
#include "dice.h"
#include "say.h"

enum { CELLS = 4000 };

static unsigned cells[CELLS] = { 1, 2, 3 };
static int loud = 1;

static unsigned
sum(void)
{
	unsigned s = 0;

	for (int i = 0; i < CELLS; i++)
		s = s * 5 + cells[i];
	return s;
}

static int live(int depth);

static int
child(int depth, int speaks)
{
	int pid = fork();

	if (pid == 0) {
		loud = speaks;
		_exit(live(depth - 1) & 127);
	}
	if (pid < 0)
		say("fork: errno %d\n", errno);
	return pid;
}

/* One child, waited for at once. */
static void
one(int depth)
{
	int status = -1, pid = child(depth, loud);

	if (waitpid(pid, &status, 0) != pid)
		say("waitpid: errno %d\n", errno);
	cells[roll(CELLS)] += WEXITSTATUS(status);
}

/* Several at once, in any order. */
static void
several(int depth)
{
	int n = 2 + roll(3), status, total = 0, count = 0;

	for (int i = 0; i < n; i++) {
		child(depth, 0);
		dice += i + 1;
	}
	while (wait(&status) > 0) {
		total += WEXITSTATUS(status);
		count++;
	}
	cells[roll(CELLS)] += total + count;
}

static int
live(int depth)
{
	unsigned local = roll(1000);

	for (int steps = 2 + roll(4); steps > 0; steps--) {
		for (int i = roll(30); i > 0; i--)
			cells[roll(CELLS)] += roll(100) + local;
		if (depth > 0 && roll(2))
			one(depth);
		else if (depth > 0)
			several(depth);
		if (loud)
			say("depth %d: local %u sum %x\n", depth, local, sum());
	}
	return sum();
}

int
main(int argc, char **argv)
{
	dice_seed(argc > 1 ? argv[1] : NULL);
	return live(3) & 127;
}
