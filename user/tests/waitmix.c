/* waitmix.c - waiting for children in every way: this one, any, a group, without waiting, without taking.    (lab 4)
 *
 * Idea.       waitmix [SEED]. Batches of children that end with random codes at random times; the parent collects them by
 *             randomly chosen means, and prints what does not depend on who was faster.
 */
#include <sys/resource.h>
#include <sys/wait.h>
#include "dice.h"
#include "peek.h"
#include "say.h"

enum { MOST = 9 };

static int pid[MOST], code[MOST], n;

/* A child that joins group g (0: a new one; -1: stays) and ends after a while. */
static int
start(int g, int ends)
{
	volatile int work = roll(20000);
	int p = fork();

	if (p == 0) {
		while (work > 0)
			work--;
		_exit(ends);
	}
	if (g >= 0 && setpgid(p, g) != 0)
		say("setpgid: errno %d\n", errno);
	return p;
}

static void
batch(void)
{
	n = 1 + roll(MOST - 1);
	for (int i = 0; i < n; i++)
		pid[i] = start(-1, code[i] = roll(200));
}

static void
each_by_pid(void)
{
	int status = 0, order = roll(2);

	for (int k = 0; k < n; k++) {
		int i = order ? n - 1 - k : k, got = waitpid(pid[i], &status, 0);

		say("child %d: %s, as it ended: %s\n", i, got == pid[i] ? "this one" : "WRONG",
			WIFEXITED(status) && WEXITSTATUS(status) == code[i] ? "yes" : "NO");
	}
}

static void
any_of_them(void)
{
	int status, got, total = 0, count = 0;

	for (int nohang = roll(2); (got = waitpid(-1, &status, nohang ? WNOHANG : 0)) >= 0;) {
		for (int i = 0; i < n; i++)
			if (pid[i] == got && WEXITSTATUS(status) == code[i])
				total += code[i], count++, pid[i] = -2;
	}
	say("any: %d right, sum %d, then errno %d\n", count, total, errno);
}

static void
peek_first(void)
{
	for (int i = 0; i < n; i++) {
		struct peek info = { 0 };
		int status = 0, r = peek_child(pid[i], &info);

		say("peek %d: %d, %s, code %d how %d\n", i, r, info.pid == pid[i] ? "this one" : "WRONG", info.status, info.code);
		r = roll(2) ? waitpid(pid[i], &status, 0) : wait4(pid[i], &status, WNOHANG, NULL);
		say("taken %d: %s, code %d\n", i, r == pid[i] ? "this one" : "WRONG", WEXITSTATUS(status));
		r = waitpid(pid[i], &status, 0);
		say("again %d: %d errno %d\n", i, r, errno);
	}
}

/* Two groups: their leaders end first, but are kept as zombies until the rest has been collected. */
static void
groups(void)
{
	struct peek info;
	int leader[2], sum[2] = { 0 }, status, got;

	for (int g = 0; g < 2; g++) {
		leader[g] = start(0, 0);
		peek_child(leader[g], &info);
	}
	for (int i = 0, k = 2 + roll(6); i < k; i++)
		start(leader[roll(2)], 1 + roll(30));
	for (int g = 1; g >= 0; g--) {
		while ((got = waitpid(-leader[g], &status, 0)) > 0)
			sum[g] += WEXITSTATUS(status) + 1000;
		say("group %d: sum %d, then errno %d\n", g, sum[g], errno);
	}
	say("nobody left: %d errno %d\n", (int)wait(NULL), errno);
}

static void
not_mine(void)
{
	int status = 77, a = start(-1, 5), got;

	say("not mine: %d errno %d\n", (int)waitpid(a + 1000, &status, 0), errno);
	say("own group of none: %d errno %d\n", (int)waitpid(-(a + 1000), &status, WNOHANG), errno);
	do
		got = waitpid(0, &status, WNOHANG);
	while (got == 0);
	say("own group: %s, status %x\n", got == a ? "this one" : "WRONG", status);
}

/* A child that ends when it is put into a group of its own: before that, it has not ended. */
static void
not_yet(void)
{
	int status = 77, a = fork();

	if (a == 0) {
		while (getpgrp() != getpid())
			;
		_exit(9);
	}
	for (int i = roll(5); i >= 0; i--)
		say("not yet: %d, status %d\n", (int)waitpid(i % 2 ? a : -1, &status, WNOHANG), status);
	setpgid(a, a);
	say("now: %s, ", waitpid(a, &status, 0) == a ? "this one" : "WRONG");
	say_status("it", status);
}

int
main(int argc, char **argv)
{
	static void (*const how[])(void) = { each_by_pid, any_of_them, peek_first };

	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < 12; i++) {
		unsigned what = roll(6);

		if (what < 3) {
			batch();
			how[what]();
		} else if (what == 3) {
			groups();
		} else if (what == 4) {
			not_yet();
		} else {
			not_mine();
		}
	}
	return 0;
}
