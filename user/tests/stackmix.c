/* stackmix.c - recursion to random depths in frames of random sizes, in parents and children.            (lab 5)
 *
 * Idea.       stackmix [SEED]. Each frame is filled on the way down and looked at on the way up; between them other processes have
 *             done the same with their own copies of the stack.
 */
#include "dice.h"
#include "say.h"

static unsigned
deep(int left, int forks)
{
	volatile unsigned char frame[200 + roll(12000)];
	unsigned n = sizeof frame, key = roll(256), bad = 0;
	int status = 0;

	for (unsigned i = 0; i < n; i += 64)
		frame[i] = key + i;
	frame[n - 1] = key;
	if (left > (int)n)
		bad = deep(left - n, forks);
	else if (forks > 0 && fork() == 0)
		_exit(deep(100000 + roll(900000), forks - 1) & 127);
	else if (forks > 0)
		wait(&status);
	for (unsigned i = 0; i + 1 < n; i += 64)
		bad += frame[i] != (unsigned char)(key + i);
	return bad * 2 + (frame[n - 1] != key) + WEXITSTATUS(status) + (left & 1);
}

static volatile int end;

static void
endless(void)
{
	volatile char frame[3000];

	frame[0] = 1;
	if (!end)
		endless();
	end += frame[0];
}

int
main(int argc, char **argv)
{
	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < 6; i++) {
		int depth = 1000 + roll(roll(2) ? 6000000 : 200000);

		say("%d bytes deep: %u\n", depth, deep(depth, roll(3)));
		if (roll(3) == 0)
			in_child("endless", endless);
	}
	return 0;
}
