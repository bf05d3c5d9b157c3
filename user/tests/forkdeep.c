/* forkdeep.c - a chain and a tree of processes, each with memory of its own.                 (lab 4) */
#include "say.h"

static int counter = 5;
static char page[8192];

/* A chain: each process waits for the next and adds one to its status. */
static int
chain(int depth)
{
	int status = 0;

	if (depth == 0)
		return 0;
	if (fork() == 0)
		_exit(chain(depth - 1));
	wait(&status);
	return WEXITSTATUS(status) + 1;
}

/* A tree: returns how many leaves it had. */
static int
tree(int depth)
{
	int leaves = 0, status;

	if (depth == 0)
		return 1;
	for (int i = 0; i < 3; i++) {
		int pid = fork();

		if (pid == 0)
			_exit(tree(depth - 1));
		if (pid < 0)
			say("fork: errno %d\n", errno);
	}
	while (wait(&status) > 0)
		leaves += WEXITSTATUS(status);
	return leaves;
}

int
main(void)
{
	int status, local = 1;

	say("chain %d\n", chain(20));
	say("tree %d\n", tree(4));
	for (int i = 0; i < 3; i++) {
		if (fork() == 0) {
			CHECK(counter == 5 && local == 1 && page[4096] == 0);
			counter = 100 + i;
			local = 200 + i;
			page[4096] = 7;
			_exit(counter == 100 + i && local == 200 + i && page[4096] == 7);
		}
		wait(&status);
		say_status("child saw its own", status);
	}
	CHECK(counter == 5 && local == 1 && page[4096] == 0);
	return 0;
}
